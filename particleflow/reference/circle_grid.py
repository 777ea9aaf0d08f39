"""The flow of a balanced two-layer relu network in the plane, on a grid of the circle and with no particle at all.

With the path norm and a balanced start, |a| = ‖w‖ =: ρ, the flow stays balanced; G(a, w) = ρ² g_±(ŵ), ± the sign of a,

    g_±(ŵ) = ±(1/n) Σ_j ½ℓ'(f_j, y_j) σ(⟨ŵ, x_j⟩) + λ/2,   f_j = ∫ σ(⟨ŵ, x_j⟩) d(ν_+ − ν_−).

The masses ν_± = (1/m) Σ_{±a_i > 0} ρ_i² δ_{ŵ_i} of the directions then obey a transport equation with growth,

    ∂_t ν_± = ∂_φ(ν_± ∂_φ g_±) − 2 g_± ν_±   (docs/mathematics.md),

solved here by finite volumes: masses of cells, upwind fluxes of second order, and for velocities differences of g. That
dissipates the energy as the equation does, dL/dt = −2 Σ_± ∫ ((∂_φ g)² + 2g²) dν (Carrillo, Chertock & Huang 2015, *A
finite-volume method for nonlinear nonlocal equations with a gradient flow structure*). Steps of time are those of Shu &
Osher (1988), of third order: averages of Euler steps, each of which keeps masses nonnegative.
"""

from dataclasses import dataclass, field

import numpy as np

from particleflow.datasets import Dataset, dataset_from_arrays
from particleflow.errors import InvalidInput
from particleflow.losses import get_loss
from particleflow.reference.circle import directions
from particleflow.values import is_real

_FEWEST_CELLS = 8
_COURANT = 0.45  # below ½, where an Euler step keeps masses nonnegative


@dataclass(frozen=True, eq=False)
class CircleSolution:
    """What a flow on the circle was at given times.

    Attributes
    ----------
    angles : ndarray, shape (N,)
        The centres of the cells, in (0, 2π); all have the length 2π/N.
    times : ndarray, shape (T,)
        Flow times.
    positive, negative : ndarray, shape (T, N)
        The masses of ν_+ and ν_− in the cells.
    energy : ndarray, shape (T,)
        L = (1/n) Σ_j ℓ(f_j, y_j) + λ(|ν_+| + |ν_−|).
    balance : ndarray, shape (T,)
        L(t) + 2∫₀ᵗ∫|∇G|² dμ ds − L(0): zero but for the error of the time steps.
    mass_balance : ndarray, shape (T, 2)
        |ν_±|(t) + 2∫₀ᵗ∫g_± dν_± ds − |ν_±|(0): zero but for rounding.
    steps : int
        How many steps of time were taken.
    """

    angles: np.ndarray = field(repr=False)
    times: np.ndarray = field(repr=False)
    positive: np.ndarray = field(repr=False)
    negative: np.ndarray = field(repr=False)
    energy: np.ndarray = field(repr=False)
    balance: np.ndarray = field(repr=False)
    mass_balance: np.ndarray = field(repr=False)
    steps: int

    def predict(self, X):
        """Return f at inputs of shape (k, 2) at all times, shape (T, k)."""
        return (self.positive - self.negative) @ _features(self.angles, np.asarray(X, dtype=np.float64)).T


def solve_on_circle(data, positive, negative, times, *, loss="squared", strength=0.0):
    """Solve the flow of a balanced two-layer relu network with the path norm, inputs in R², on a grid of the circle.

    Parameters
    ----------
    data : Dataset or (X, y)
        Inputs (n, 2), where a bias counts as a feature, and targets (n,).
    positive, negative : array_like, shape (N,)
        The initial masses ρ²/m of directions with a > 0 and a < 0, in N equal cells of the circle from the angle 0 on.
    times : array_like, shape (T,)
        Flow times to report, increasing, from 0.
    loss : str or Loss
        "squared", "logistic" or "huber".
    strength : float
        λ ≥ 0 of the path norm.

    Returns
    -------
    CircleSolution

    Raises
    ------
    InvalidInput
        If the inputs are not in the plane, masses are negative, not finite or of different lengths, the times do not
        increase, λ is negative, the loss is not defined for the targets, or data or masses are too large.

    References
    ----------
    Carrillo, Chertock & Huang 2015; Shu & Osher 1988. docs/mathematics.md, *A grid instead of particles*.
    """
    data = data if isinstance(data, Dataset) else dataset_from_arrays(*data)
    loss = get_loss(loss)
    loss.check_targets(data.y)
    if data.d != 2:
        raise InvalidInput(f"the circle needs d = 2 (a bias counts as a feature), found d = {data.d}")
    if not (is_real(strength) and strength >= 0):
        raise InvalidInput(f"strength = {strength!r}: valid are finite numbers from 0")
    masses, times = _checked_masses(positive, negative), _checked_times(times)
    with np.errstate(over="ignore", invalid="ignore"):  # what is too large ends in steps that are too small
        scheme = _Scheme(data, loss, float(strength), masses.shape[1])
        state, t, steps, rows = scheme.start(masses), 0.0, 0, []
        first = scheme.energy(state)
        for end in times:
            while t < end:
                state, t = scheme.step(state, t, end)
                steps += 1
            rows.append(state)
    found, dissipated, lost = scheme.split(np.array(rows))
    energy = np.array([scheme.energy(row) for row in rows])
    return CircleSolution(
        scheme.angles,
        times,
        found[:, 0],
        found[:, 1],
        energy,
        energy + dissipated - first,
        found.sum(axis=2) + lost - masses.sum(axis=1),
        steps,
    )


class _Scheme:
    """The finite volumes; a state is the masses of all cells, ν_+ first, then what was dissipated and lost so far."""

    def __init__(self, data, loss, strength, cells):
        self.y, self.loss, self.strength = data.y, loss, strength
        self.width = 2 * np.pi / cells
        self.angles = self.width * (np.arange(cells) + 0.5)
        self.features = _features(self.angles, data.X)
        self.size = float(np.mean(np.sum(data.X**2, axis=1)))

    def start(self, masses):
        """Return the state at time 0."""
        return np.concatenate([masses.ravel(), np.zeros(3)])

    def split(self, state):
        """Return masses (..., 2, N), the energy dissipated (...) and the masses lost (..., 2)."""
        return state[..., :-3].reshape(*state.shape[:-1], 2, -1), state[..., -3], state[..., -2:]

    def energy(self, state):
        """Return L."""
        masses, _, _ = self.split(state)
        f = self.features @ (masses[0] - masses[1])
        return float(np.mean(self.loss.value(f, self.y)) + self.strength * masses.sum())

    def step(self, state, t, end):
        """Return the state after one step, which ends at `end` or before, and its time."""
        slope, fastest = self._slope(state)
        h = min(end - t, _COURANT / fastest)
        while t + h > t:
            first = state + h * slope
            second = 0.75 * state + 0.25 * (first + h * self._slope(first)[0])
            new = (state + 2 * (second + h * self._slope(second)[0])) / 3
            if min(part[:-3].min() for part in (first, second, new)) >= 0:
                return new, (end if h == end - t else t + h)
            h /= 2  # the velocity grew within the step
        raise InvalidInput(f"at t = {t:g} the steps of time are too small: scale data and masses down")

    def _slope(self, state):
        """Return the time derivative of a state, and the rate that limits the step."""
        masses, _, _ = self.split(state)
        f = self.features @ (masses[0] - masses[1])
        pull = self.loss.half_derivative(f, self.y) @ self.features / len(self.y)
        g = np.stack([pull, -pull]) + 0.5 * self.strength
        rise = np.roll(g, -1, axis=1) - g  # across the edge that ends a cell
        velocity, tilt = -rise / self.width, 0.5 * _limited_slopes(masses)
        upwind = np.where(velocity > 0, masses + tilt, np.roll(masses - tilt, -1, axis=1))
        flux = velocity * upwind / self.width
        losses = 2 * g * masses
        change = np.roll(flux, 1, axis=1) - flux - losses
        dissipation = 2 * float(np.sum(g * losses) - np.sum(flux * rise))
        fastest = np.abs(velocity).max() / self.width + np.abs(g).max() + masses.sum() * self.size
        return np.concatenate([change.ravel(), [dissipation], losses.sum(axis=1)]), max(fastest, 1e-300)


def _limited_slopes(masses):
    """Return the change of the density across each cell: central, but never so steep that a new extremum appears.

    The monotonised central limiter of van Leer (1977); the masses at both edges stay nonnegative.
    """
    after = np.roll(masses, -1, axis=1) - masses
    before = np.roll(after, 1, axis=1)
    size = np.minimum(2 * np.minimum(np.abs(before), np.abs(after)), 0.5 * np.abs(before + after))
    return np.where(before * after > 0, np.sign(after) * size, 0.0)


def _features(angles, X):
    """Return σ(⟨ŵ_k, x_j⟩), shape (n, N)."""
    return np.maximum(X @ directions(angles).T, 0.0)


def _checked_masses(positive, negative):
    arrays = []
    for name, values in (("positive", positive), ("negative", negative)):
        try:
            array = np.array(values, dtype=np.float64)
        except (TypeError, ValueError):
            raise InvalidInput(f"{name}: valid are numbers, one for each cell of the circle") from None
        if array.ndim != 1 or len(array) < _FEWEST_CELLS:
            raise InvalidInput(f"{name} has shape {array.shape}: valid are at least {_FEWEST_CELLS} cells")
        if not (np.isfinite(array).all() and (array >= 0).all()):
            wrong = array[~(np.isfinite(array) & (array >= 0))][0]
            raise InvalidInput(f"{name} has the mass {wrong:g} in a cell: valid are finite numbers from 0")
        arrays.append(array)
    if len(arrays[0]) != len(arrays[1]):
        raise InvalidInput(f"positive has {len(arrays[0])} cells and negative {len(arrays[1])}: they must agree")
    return np.stack(arrays)


def _checked_times(times):
    try:
        array = np.array(times, dtype=np.float64)
    except (TypeError, ValueError):
        array = np.empty(0)
    usable = array.ndim == 1 and array.size > 0 and bool(np.isfinite(array).all())
    if not (usable and array[0] >= 0 and (np.diff(array) > 0).all()):
        raise InvalidInput(f"times = {times!r}: valid are increasing finite numbers from 0, in a list")
    return array
