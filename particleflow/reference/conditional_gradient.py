"""The global minimum of the energy of a two-layer relu network with the path norm, by no flow at all.

Since relu is 1-homogeneous, L[μ] has the same minimum over laws of particles (a, w) as the convex problem

    min_ν (1/n) Σ_j ℓ(f_j, y_j) + λ|ν|(S^{d−1}),   f_j = ∫ σ(⟨w, x_j⟩) ν(dw),

over signed measures ν on the sphere (Bach 2017). It is solved by a fully corrective conditional gradient (Frank & Wolfe
1956; Jaggi 2013): put atoms where the dual constraint is violated, find the best masses, let the atoms slide within
their arcs, and measure the duality gap. For d = 1 and d = 2 the dual constraint is evaluated exactly,
so that the gap is a proof.
"""

import time
import warnings
from dataclasses import dataclass, fields

import numpy as np

from particleflow.activations import get_activation
from particleflow.datasets import Dataset, dataset_from_arrays
from particleflow.errors import InvalidInput
from particleflow.losses import get_loss
from particleflow.measure import EmpiricalMeasure, two_layer_layout
from particleflow.reference.circle import Circle, directions, wrap
from particleflow.reference.corrective import best_masses
from particleflow.reference.duality import dual_value
from particleflow.reference.sliding_atoms import atoms_energy, features, merge, slide
from particleflow.sphere_sup import sup_circle, sup_line

TOLERANCE = 1e-8
"""The relative gap that is asked for."""
_MOST_ITERATIONS = 300
_PATIENCE = 12
"""Iterations without a gap smaller by a tenth, after which rounding is taken to have the last word."""
_NEW_ATOMS = 40


@dataclass(frozen=True, eq=False, repr=False)
class Optimum:
    """A global minimum, with its proof.

    Attributes
    ----------
    energy : float
        L at the solution.
    lower_bound : float
        No network of any width has a smaller energy, up to rounding in the sum of n terms.
    gap, relative_gap : float
        energy − lower_bound, and the same in units of the energy.
    directions : ndarray, shape (k, d)
        The atoms of ν: unit vectors w.
    masses : ndarray, shape (k,)
        Their signed masses.
    fit : ndarray, shape (n,)
        f at the data.
    total_mass : float
        |ν|, the path norm of the network.
    iterations : int
        How often atoms were added.
    seconds : float
        Wall-clock time.
    """

    energy: float
    lower_bound: float
    gap: float
    relative_gap: float
    directions: np.ndarray
    masses: np.ndarray
    fit: np.ndarray
    total_mass: float
    iterations: int
    seconds: float

    def to_dict(self):
        """Return everything as plain numbers and lists."""
        values = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        return {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in values.items()}

    def __repr__(self):
        atoms = f"{np.sum(self.masses > 0)} positive and {np.sum(self.masses < 0)} negative"
        return (
            f"minimum      {self.energy:.12g}\n"
            f"lower bound  {self.lower_bound:.12g} (relative gap {self.relative_gap:.1e})\n"
            f"atoms        {len(self.masses)} ({atoms}), total mass {self.total_mass:.6g}\n"
            f"found in     {self.iterations} iterations, {self.seconds:.2g} s"
        )

    def network(self, m=None):
        """Return the solution as m balanced particles (a, w), |a| = ‖w‖, whose energy is the minimum.

        Parameters
        ----------
        m : int, optional
            At least the number of atoms, which is the default; an atom then is several equal particles.

        Returns
        -------
        EmpiricalMeasure

        Raises
        ------
        InvalidInput
            If m is smaller.
        """
        atoms = len(self.masses)
        m = max(atoms, 1) if m is None else m
        if not isinstance(m, (int, np.integer)) or m < max(atoms, 1):
            raise InvalidInput(f"particles = {m!r}: the optimum needs {max(atoms, 1)} or more")
        layout = two_layer_layout(self.directions.shape[1])
        if atoms == 0:
            return EmpiricalMeasure(np.zeros((m, layout.size)), layout)
        owner = np.arange(m) % atoms
        share = self.masses[owner] * (m / np.bincount(owner)[owner])
        size = np.sqrt(np.abs(share))
        return EmpiricalMeasure.from_blocks(
            layout, a=np.copysign(size, share), w=size[:, None] * self.directions[owner]
        )


def global_minimum(data, *, strength, loss="squared", activation="relu", tolerance=TOLERANCE, start=None):
    """Return the global minimum of (1/n) Σ ℓ(f(x_j), y_j) + λ∫|a|‖w‖ dμ over two-layer relu networks of any width.

    Parameters
    ----------
    data : Dataset or (X, y)
        Inputs (n, d) with d = 1 or 2 (a bias counts as a feature), and targets (n,).
    strength : float
        λ > 0.
    loss : str or Loss
        "squared", "logistic" or "huber".
    activation : str or Activation
        "relu".
    tolerance : float
        The relative gap to reach. Where rounding keeps it larger, a warning says so; the gap of the result stands.
    start : (directions, masses), optional
        Atoms to start from, of shapes (k, d) and (k,): directions of any length, signed masses. By default none.

    Returns
    -------
    Optimum

    Raises
    ------
    InvalidInput
        If d > 2, the activation is another, λ or the tolerance is not positive, the data do not fit the loss, or the
        start has other shapes.

    Examples
    --------
    >>> round(global_minimum(([[1.0]], [2.0]), strength=1.0).energy, 12)  # min (c − 2)² + c
    1.75
    """
    begin = time.perf_counter()
    data = data if isinstance(data, Dataset) else dataset_from_arrays(*data)
    loss = get_loss(loss)
    _check(data, loss, get_activation(activation), strength, tolerance)
    plane = _in_the_plane(data.X)
    atoms = (np.empty(0),) * 3 if start is None else _atoms(start, data.d)
    best, bound, iterations = _solve(data.X, data.y, loss, float(strength), tolerance, atoms)
    angles, masses, signs = best
    energy = atoms_energy(plane, loss, data.y, strength, best)
    gap = max(energy - bound, 0.0)
    relative = gap / energy if energy > 0.0 else 0.0
    if relative > tolerance:
        warnings.warn(f"the relative gap is {relative:.1e}, above the tolerance {tolerance:.1e}", stacklevel=2)
    w = directions(angles)
    return Optimum(
        energy=energy,
        lower_bound=bound,
        gap=gap,
        relative_gap=relative,
        directions=np.sign(np.round(w[:, :1])) if data.d == 1 else w,
        masses=signs * masses,
        fit=features(plane, angles, signs) @ masses,
        total_mass=float(masses.sum()),
        iterations=iterations,
        seconds=time.perf_counter() - begin,
    )


def _check(data, loss, activation, strength, tolerance):
    if activation.name != "relu":
        raise InvalidInput(f"activation = {activation.name!r}: the global minimum is computed for relu only")
    if data.d > 2:
        raise InvalidInput(
            f"d = {data.d}: the global minimum needs an exact oracle, which exists for d ≤ 2 only (a bias counts)"
        )
    if not (np.isfinite(strength) and strength > 0):
        raise InvalidInput(f"strength = {strength!r}: the global minimum needs a finite λ above 0")
    if not (np.isfinite(tolerance) and tolerance > 0):
        raise InvalidInput(f"tolerance = {tolerance!r}: valid are finite numbers above 0")
    loss.check_targets(data.y)


def _in_the_plane(X):
    """Return inputs in the plane; those on a line get a second coordinate 0, which no best direction uses."""
    return X if X.shape[1] == 2 else np.column_stack([X, np.zeros(len(X))])


def _atoms(start, d):
    """Return atoms (angles, masses, signs) from directions (k, d) and signed masses (k,)."""
    w, masses = (np.asarray(array, dtype=np.float64) for array in start)
    finite = np.isfinite(masses).all() and np.isfinite(w).all()
    if masses.ndim != 1 or w.shape != (len(masses), d) or not finite:
        raise InvalidInput(f"start has the shapes {w.shape} and {masses.shape}: valid are finite (k, {d}) and (k,)")
    kept = (masses != 0.0) & w.any(axis=1)
    w = _in_the_plane(w[kept])
    angles = wrap(np.arctan2(w[:, 1], w[:, 0]))
    return angles, np.abs(masses[kept]), np.sign(masses[kept])


def _solve(X, y, loss, strength, tolerance, start):
    """Return the atoms (angles, masses, signs) of least energy, the best lower bound, and the number of iterations."""
    sup, plane = sup_line if X.shape[1] == 1 else sup_circle, _in_the_plane(X)
    circle = Circle(plane) if plane.any() else None
    atoms = best = (np.empty(0),) * 3 if circle is None else _refit(circle, loss, y, strength, start)
    least, bound, smallest, waited, iterations = np.inf, -np.inf, np.inf, 0, 0
    while True:
        f = features(plane, atoms[0], atoms[2]) @ atoms[1]
        q = -2.0 * loss.half_derivative(f, y) / len(y)
        bound = max(bound, dual_value(loss, q, y, sup(q, X).upper, strength))
        energy = atoms_energy(plane, loss, y, strength, atoms)
        if energy < least:
            least, best = energy, atoms
        waited = 0 if least - bound < 0.9 * smallest else waited + 1
        smallest = min(smallest, least - bound)
        closed = least - bound <= 0.1 * tolerance * least or circle is None  # where nothing can be fitted
        if closed or waited > _PATIENCE or iterations == _MOST_ITERATIONS:
            return best, bound, iterations
        atoms = _improve(circle, loss, y, strength, atoms, q)
        iterations += 1


def _refit(circle, loss, y, strength, start):
    """Return atoms in the arcs of a start, with the best masses; those of the start may be far from any use."""
    angles, masses, signs = merge(circle, *start)
    if masses.size > 0:
        masses = best_masses(loss, features(circle.X, angles, signs), y, strength, np.zeros_like(masses))
    return merge(circle, angles, masses, signs)


def _improve(circle, loss, y, strength, atoms, q):
    """Add the atoms that the dual asks for, find the best masses, merge what lies in one arc, and let all slide."""
    angles, masses, signs = atoms
    for sign in (1.0, -1.0):
        new, heights = circle.local_maxima(sign * q)
        chosen = np.argsort(-heights, kind="stable")[:_NEW_ATOMS]
        new = new[chosen][heights[chosen] > strength]
        new = np.setdiff1d(new, angles[signs == sign])
        angles = np.concatenate([angles, new])
        signs = np.concatenate([signs, np.full(len(new), sign)])
        masses = np.concatenate([masses, np.zeros(len(new))])
    masses = best_masses(loss, features(circle.X, angles, signs), y, strength, masses)
    atoms = merge(circle, angles, masses, signs)
    atoms = slide(circle, loss, y, strength, atoms)
    return merge(circle, *atoms)
