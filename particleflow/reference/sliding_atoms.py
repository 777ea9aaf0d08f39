"""Atoms that slide: the minimum over masses and directions together, while no atom leaves its arc of the circle.

On an arc an atom of mass c and direction w adds ⟨cw, x_j⟩ to f at the active data: it is linear in v = cw ∈ R², and it
costs λ‖v‖. That is smooth as long as v ≠ 0, and Newton's method is quadratic. An atom that arrives at a cut
stays there.
"""

import numpy as np

from particleflow.reference.circle import directions
from particleflow.reference.duality import curvature

_STEPS = 30


def merge(circle, angles, masses, signs):
    """Replace atoms of one sign in one closed arc by their sum: f stays the same and the total mass does not grow.

    Returns
    -------
    angles, masses, signs : ndarray, shape (k,)
    """
    merged = []
    for sign in (1.0, -1.0):
        chosen = (signs == sign) & (masses > 0.0)
        order = np.argsort(angles[chosen], kind="stable")
        pairs = zip(angles[chosen][order].tolist(), masses[chosen][order].tolist(), strict=True)
        atoms = []
        for angle, mass in pairs:
            atoms.append((angle, mass))
            while len(atoms) > 1 and _join(circle, atoms, -2, -1):
                pass
        while len(atoms) > 1 and _join(circle, atoms, -1, 0):
            pass
        merged += [(angle, mass, sign) for angle, mass in atoms if mass > 0.0]
    return tuple(np.array(merged).reshape(-1, 3).T)


def _join(circle, atoms, first, second):
    """Replace two atoms of a list by one at the place of the first, if they lie in one closed arc."""
    common = circle.closed_arcs(atoms[first][0]) & circle.closed_arcs(atoms[second][0])
    if not common:
        return False
    if atoms[first][0] == atoms[second][0]:
        atoms[first] = atoms[first][0], atoms[first][1] + atoms[second][1]
    else:
        v = sum(mass * directions(angle) for angle, mass in (atoms[first], atoms[second]))
        angle = circle.nearest_in_arc(float(np.arctan2(v[1], v[0])), min(common))
        atoms[first] = angle, float(np.hypot(*v))
    del atoms[second]
    return True


def slide(circle, loss, y, strength, atoms):
    """Return atoms (angles, masses, signs) of lower energy, by Newton steps within their arcs."""
    angles, masses, signs = atoms
    energy = atoms_energy(circle.X, loss, y, strength, atoms)
    for _ in range(_STEPS):
        if masses.size == 0:
            break
        B, frames, owner = _linear_map(circle, angles, signs)
        step = _newton_step(loss, B, frames, owner, y, strength, masses)
        for size in 0.5 ** np.arange(12):
            new_angles, new_masses = _moved(circle, angles, masses, frames, owner, size * step)
            trial = new_angles, new_masses, signs
            value = atoms_energy(circle.X, loss, y, strength, trial)
            if value <= energy + 1e-15 * abs(energy):
                break
        else:
            break
        moved = np.abs(size * step).max()
        angles, masses, signs = (array[new_masses > 0.0] for array in trial)
        energy = value
        if moved <= 1e-14 * masses.max(initial=0.0):
            break
    return angles, masses, signs


def atoms_energy(X, loss, y, strength, atoms):
    """Return (1/n) Σ_j ℓ(f_j, y_j) + λ Σ c for atoms (angles, masses, signs)."""
    angles, masses, signs = atoms
    return float(np.mean(loss.value(features(X, angles, signs) @ masses, y))) + strength * float(masses.sum())


def features(X, angles, signs):
    """Return ±σ(⟨w, x_j⟩) for every atom, shape (n, k)."""
    return signs * np.maximum(X @ directions(angles).T, 0.0)


def _linear_map(circle, angles, signs):
    """Return f as a linear map of what may move: mass and turn of an atom inside an arc, the mass alone on a cut.

    Returns
    -------
    B : ndarray, shape (n, p)
        Its columns.
    frames : ndarray, shape (p,)
        0 for a mass, 1 for a turn (both in units of mass).
    owner : ndarray, shape (p,)
        The atom of each.
    """
    columns, frames, owner = [], [], []
    for k, (angle, sign) in enumerate(zip(angles.tolist(), signs.tolist(), strict=True)):
        arc, is_cut = circle.arc_of(angle)
        active = np.where(circle.active(arc), sign, 0.0)
        w = directions(angle)
        parts = (w,) if is_cut else (w, np.array([-w[1], w[0]]))
        for frame, part in enumerate(parts):
            columns.append(active * (circle.X @ part))
            frames.append(frame)
            owner.append(k)
    return np.column_stack(columns), np.array(frames), np.array(owner)


def _newton_step(loss, B, frames, owner, y, strength, masses):
    """Return the Newton step of (1/n) Σ ℓ(Bz) + λ Σ ‖v_k‖, in the frame of each atom."""
    n = len(y)
    f = B[:, frames == 0] @ masses
    gradient = 2.0 * B.T @ loss.half_derivative(f, y) / n + strength * (frames == 0)
    hessian = B.T @ (curvature(loss, f, y)[:, None] * B) / n
    turns = np.flatnonzero(frames)
    hessian[turns, turns] += strength / masses[owner[turns]]
    return -np.linalg.lstsq(hessian, gradient, rcond=1e-15)[0]


def _moved(circle, angles, masses, frames, owner, step):
    """Return the angles and masses after a step; an atom that would leave its arc is put at its end."""
    angles, masses = angles.copy(), masses.copy()
    turn = np.zeros_like(masses)
    turn[owner[frames == 1]] = step[frames == 1]
    along = masses + step[frames == 0]
    for k in np.flatnonzero(turn):
        arc, _ = circle.arc_of(angles[k])
        v = along[k] * directions(angles[k]) + turn[k] * np.array([-np.sin(angles[k]), np.cos(angles[k])])
        angles[k] = circle.nearest_in_arc(float(np.arctan2(v[1], v[0])), arc)
        along[k] = v @ directions(angles[k])
    return angles, np.maximum(along, 0.0)
