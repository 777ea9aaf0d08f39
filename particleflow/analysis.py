"""Stored flows as curves in Wasserstein space: distances along them, between them, and their length.

A flow of ∂_t μ = div(μ ∇G(·, μ)) is a curve of metric speed |μ̇_t| = (∫|∇G|² dμ_t)^½ (Ambrosio, Gigli & Savaré 2008,
*Gradient flows in metric spaces*, Theorem 8.3.1), so that W2(μ_s, μ_t) ≤ ∫_s^t |μ̇_r| dr. All distances are exact;
clouds of one size are matched from the matching before (`particleflow.transport.Matcher`).
"""

from dataclasses import dataclass

import numpy as np

from particleflow.errors import InvalidInput, require_exchangeable
from particleflow.measure import EmpiricalMeasure
from particleflow.transport import Matcher, w2
from particleflow.values import is_integer

MOST_SECONDS, MOST_BYTES = 600.0, 2**32
_SAME = 1e-9  # relative: times that are one
_NOISY = ("langevin", "adam")


def transport_cost(m, other=None, *, count=1):
    """Estimate what exact distances between clouds of m and m' particles cost, in R^p with p > 1 or on a torus.

    From times measured for Gaussian clouds on one core: an assignment of 1000 particles takes 0.05 s and grows like
    m^2.7, the network simplex, for clouds of different size, 0.2 s and (m m')^1.25. Within a factor of a few.

    Parameters
    ----------
    m, other : int
        Sizes; m' = m by default.
    count : int
        How many distances.

    Returns
    -------
    (seconds, bytes) : float, int
    """
    other = m if other is None else other
    one = 0.05 * (m / 1000) ** 2.7 if m == other else 0.2 * (m * other / 1e6) ** 1.25
    return count * one, 8 * m * other


def cloud_distance(A, B, *, particles=None):
    """Return W2(A, B) of two clouds of any size, refused where it costs too much; arguments as in `distances_to`."""
    A, B = (_subsample(cloud, particles) for cloud in (A, B))
    return _meter(A, B)(A, B)


def distances_to(trajectory, target=-1, *, frames=None, of=None, particles=None):
    """Return W2(μ_t, ν) for the frames of a stored flow, exactly.

    Parameters
    ----------
    trajectory : Trajectory
        The flow μ.
    target : int, EmpiricalMeasure or array_like
        ν: a frame of the flow, by default its last one, or a cloud of any size.
    frames : sequence of int, optional
        Which frames; all by default.
    of : callable, optional
        What of the particles to compare, ``of(measure)``: a measure or an array (m, p'); for example
        ``lambda cloud: pf.row_measure(cloud, 1)``, the law of one row, or ``lambda cloud: cloud["w"]``.
    particles : int, optional
        Compare that many particles, drawn once and the same in all frames: an estimate, for clouds that are too large.

    Returns
    -------
    ndarray, shape (frames,)

    Raises
    ------
    InvalidInput
        If there is no such frame, the particles are not exchangeable, or the distances would take more than about ten
        minutes or 4 GiB.
    TransportFailed
        If a distance is not proved.

    Examples
    --------
    >>> import particleflow as pf
    >>> energy = pf.KernelEnergy(pf.quadratic_aggregation(1.0), 2)
    >>> start = pf.gaussian(10, energy.layout, rng=0)
    >>> result = pf.solve(energy, start, 4.0, frames=[1.0, 2.0, 4.0], file=path)
    >>> with pf.open(path) as flow:
    ...     distances = pf.distances_to(flow, result.measure)
    """
    cloud, frames = _reader(trajectory, of, particles), _frames(trajectory, frames)
    end = cloud(target) if is_integer(target, -(10**15)) else _part(target, of)
    first = cloud(frames[0])
    measure = _meter(first, end, len(frames))
    return np.array([measure(cloud(frame), end) for frame in frames])


def distances_between(trajectory, other, *, of=None, particles=None):
    """Return (t, W2(μ_t, ν_t)) of two stored flows at the flow times of which both hold a frame.

    Parameters and errors as for `distances_to`; the flows may differ in size.

    Returns
    -------
    (t, distances) : ndarrays, shape (K,)
    """
    left, right = _reader(trajectory, of, particles), _reader(other, of, particles)
    pairs = _common(trajectory.time, other.time)
    if not pairs:
        raise InvalidInput(
            f"{trajectory.path.name!r} and {other.path.name!r} have no flow time in common: give both the same frames"
        )
    measure = _meter(left(0), right(0), len(pairs))
    distances = [measure(left(k), right(j)) for k, j in pairs]
    return trajectory.time[[k for k, _ in pairs]], np.array(distances)


def distance_matrix(trajectory, frames=None, *, of=None, particles=None):
    """Return W2(μ_s, μ_t) between frames of a stored flow, shape (K, K); see `distances_to`."""
    cloud, frames = _reader(trajectory, of, particles), _frames(trajectory, frames)
    count = len(frames)
    matrix, first = np.zeros((count, count)), cloud(frames[0])
    _check_cost(first, first, count * (count - 1) // 2)
    clouds = [cloud(frame) for frame in frames]
    for k in range(count):
        measure = _meter(first, first)
        for j in range(k + 1, count):
            matrix[k, j] = matrix[j, k] = measure(clouds[k], clouds[j])
    return matrix


@dataclass(frozen=True)
class CurveLength:
    """The length of a flow as a curve in Wasserstein space, between its frames.

    In every interval of frames ``steps`` ≤ ∫|μ̇| dt ≤ ``bounds``, up to the error of the flow.

    Attributes
    ----------
    time : ndarray, shape (K,)
        Flow times of the frames.
    steps : ndarray, shape (K − 1,)
        W2 between consecutive frames.
    speed : ndarray, shape (K,)
        |μ̇_t| = (∫|∇G|² dμ_t)^½, from the stored dissipation 2∫|∇G|² dμ_t.
    integrals : ndarray, shape (K − 1,)
        ∫|μ̇| dt by the trapezoidal rule: as good as the frames are dense; from above where the speed is convex.
    bounds : ndarray, shape (K − 1,)
        ∫|μ̇| dt ≤ (Δt ∫|μ̇|² dt)^½, from the dissipated energy that the integrator accumulated at every step.
    chord : float
        W2 between the first and the last frame.
    """

    time: np.ndarray
    steps: np.ndarray
    speed: np.ndarray
    integrals: np.ndarray
    bounds: np.ndarray
    chord: float

    @property
    def length(self):
        """The length of the polygon of the frames, Σ W2: at least the chord, at most ∫|μ̇| dt."""
        return float(self.steps.sum())


def curve_length(trajectory):
    """Measure a stored flow as a curve in Wasserstein space.

    Parameters
    ----------
    trajectory : Trajectory
        A flow without noise, of at least two frames.

    Returns
    -------
    CurveLength

    Raises
    ------
    InvalidInput
        If the flow is none of −∇G (noise, mini-batches, Adam), does not hold its dissipation or a second frame, or as
        for `distances_to`.

    References
    ----------
    Ambrosio, Gigli & Savaré 2008, *Gradient flows in metric spaces and in the space of probability measures*, §8.3.
    """
    name, series, flow = repr(trajectory.path.name), trajectory.observables, trajectory.config.get("flow", {})
    if flow.get("method") in _NOISY or "batch_size" in flow:
        raise InvalidInput(f"{name} is a flow by {flow['method']}, whose speed is not that of −∇G")
    if not {"dissipation", "dissipated"} <= set(series):
        raise InvalidInput(f"{name} does not hold dissipation and dissipated energy")
    count = min(len(trajectory), len(series["time"]))
    if count < 2:
        raise InvalidInput(f"{name} holds a single frame: a curve has two")
    time = trajectory.time[:count]
    cloud = _reader(trajectory, None, None)
    measure = _meter(cloud(0), cloud(0), count)
    clouds = (cloud(frame) for frame in range(count))
    before, steps = next(clouds), []
    for after in clouds:
        steps.append(measure(before, after))
        before = after
    speed, elapsed = np.sqrt(series["dissipation"][:count] / 2), np.diff(time)
    squares = np.diff(series["dissipated"][:count]) / 2
    return CurveLength(
        time=time,
        steps=np.array(steps),
        speed=speed,
        integrals=elapsed * (speed[1:] + speed[:-1]) / 2,
        bounds=np.sqrt(elapsed * np.maximum(squares, 0.0)),
        chord=measure(cloud(0), before),
    )


# --- what is compared, and what it costs ------------------------------------------------------------------------------


def _reader(trajectory, of, particles):
    """Return a function of the frame: the cloud there, or what is wanted of it."""
    if trajectory.model is not None:
        require_exchangeable(trajectory.model, "the Wasserstein distance")
    return lambda frame: _part(_subsample(trajectory.particles(frame), particles), of)


def _subsample(measure, particles):
    """Return as many of the particles, the same whenever m is the same; all for None."""
    if particles is None:
        return measure
    if not is_integer(particles):
        raise InvalidInput(f"particles = {particles!r}: valid are integers from 1")
    if particles >= measure.m:
        return measure
    rows = np.sort(np.random.default_rng(0).choice(measure.m, particles, replace=False))
    return EmpiricalMeasure(measure.particles[rows], measure.layout)


def _part(measure, of):
    return measure if of is None else of(measure)


def _frames(trajectory, frames):
    frames = list(range(len(trajectory))) if frames is None else list(frames)
    if not frames or not all(is_integer(frame, -len(trajectory), len(trajectory) - 1) for frame in frames):
        raise InvalidInput(f"frames = {frames!r}: valid are lists of integers from 0 to {len(trajectory) - 1}")
    return frames


def _common(times, others):
    """Return the pairs of frames (k, j) whose flow times agree; both are increasing."""
    near = np.searchsorted(others, times * (1 - _SAME))
    return [(k, int(j)) for k, j in enumerate(near) if j < len(others) and others[j] <= times[k] * (1 + _SAME)]


def _meter(A, B, count=1):
    """Return W2 as a function of clouds of these sizes, from warm starts where it can; refuse what costs too much."""
    _check_cost(A, B, count)
    if len(A) != len(B):
        return w2
    periods = [cloud.layout.period if isinstance(cloud, EmpiricalMeasure) else None for cloud in (A, B)]
    return Matcher(period=periods[0]).w2 if periods[0] == periods[1] else w2  # which says what is wrong


def _check_cost(A, B, count):
    m, other = len(A), len(B)
    seconds, size = transport_cost(m, other, count=count)
    if _on_line(A):
        return
    if seconds > MOST_SECONDS or size > MOST_BYTES:
        raise InvalidInput(
            f"{count} exact distances between {m} and {other} particles take about {seconds:.2g} s and "
            f"{size / 2**30:.2g} GiB: compare fewer frames (frames = …) or a subsample (particles = …)"
        )


def _on_line(cloud):
    if isinstance(cloud, EmpiricalMeasure):
        return cloud.layout.size == 1 and cloud.layout.period is None
    return np.ndim(cloud) == 1 or np.shape(cloud)[1:] == (1,)
