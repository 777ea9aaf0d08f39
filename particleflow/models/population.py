"""The velocity of two-layer networks in the population limit: particles and teacher as sources of one field.

With weights a_j/m for the particles and −a*_k/m_t for the teacher's neurons, Q(w) = Σ_s weights_s κ(w, v_s) gives
G = a Q(w) + (λ/2) V(θ): ∇_a = Q, ∇_w = a ∇Q, and L = C + ∫ a (Q + Q_teacher) dμ + λ∫V dμ.
"""

from functools import cache, partial

import numpy as np
from numba import config

from particleflow.activations import RELU
from particleflow.arc_cosine import ArcCosineSums
from particleflow.gaussian_kernels import interact
from particleflow.models.sliding import SlidingVelocity
from particleflow.regularizers import SMOOTH, add_regularizer

# About 0.1 s of work: between two slabs of particles Python can react to a signal.
_SLAB_PAIRS = 2e6
# Of the length of a vector, how much may lie outside a span: rounding, and what remains of it after many steps.
_OUTSIDE = 1e-13
# Particles for each dimension, and work of a step, from which on it costs next to nothing to ask for the span; and how
# many times rows outside are added to what may span it.
_MANY, _LONG, _EXTENSIONS = 8, 1e8, 3


def make_population_velocity(kernel, m):
    """Return ``velocity(theta, out) -> parts`` for m particles and a `particleflow.kernels.PopulationKernel`."""
    d, constant = kernel.teacher.shape[1] - 1, kernel.constant
    teacher, masses = np.ascontiguousarray(kernel.teacher[:, 1:]), -kernel.teacher[:, 0] / len(kernel.teacher)
    fields, pulls, value = np.empty((2, m)), np.empty((2, m, d)), np.empty(m)
    code = kernel.activation.code
    narrow = np.linalg.matrix_rank(_directions(teacher)) <= d // 2

    @cache
    def sums_in(dimension):
        if code == RELU and not config.DISABLE_JIT:
            return ArcCosineSums(m, len(teacher), dimension).add_up
        return partial(pairwise_fields, code)

    def add_up(W, weights):
        basis = small_span(teacher, W) if narrow else None
        if basis is None:
            sums_in(d)(teacher, masses, W, weights, fields, pulls)
            return
        # the kernels know vectors by their lengths and angles alone
        coordinates = np.empty((2, m, basis.shape[1]))
        sums_in(basis.shape[1])(teacher @ basis, masses, W @ basis, weights, fields, coordinates)
        np.matmul(coordinates, basis.T, out=pulls)

    def velocity(theta, out):
        add_up(theta[:, 1:], theta[:, 0] / m)
        risk = constant + float(np.mean(theta[:, 0] * (fields[0] + 2 * fields[1])))
        out[:, 0] = fields[0] + fields[1]
        np.multiply(theta[:, :1], np.add(*pulls, out=pulls[0]), out=out[:, 1:])
        add_regularizer(kernel.regularizer.code, theta, 0.5 * kernel.strength, value, out)
        np.negative(out, out=out)
        return {"risk": risk, "regularization": kernel.strength * float(value.mean())}

    if kernel.regularizer.code in SMOOTH:
        return velocity
    return SlidingVelocity(velocity, np.empty((0, d)), np.empty(0), kernel.regularizer.code, 0.5 * kernel.strength, m)


def small_span(teacher, W):
    """Return an orthonormal basis (d, r) of a space that all rows of both lie in, or None.

    It is None if r would be more than d/2, and where there are so few rows W that the answer costs what it saves. It
    depends on nothing but the rows.
    """
    (m, d), most = W.shape, W.shape[1] // 2
    if m < _MANY * d or m * m * d < _LONG or d < 2:
        return None
    from scipy.linalg.lapack import dpstrf  # not needed by most, and 0.1 s

    # twice as many as have to be independent, from all over the cloud: particles may come in pairs
    rows = _directions(W[:: m // (d + 2)][: d + 2])
    if dpstrf(rows @ rows.T, tol=1e-12)[2] > most:
        return None
    everything, basis = _directions(np.concatenate([teacher, W])), np.empty((d, 0))
    if not np.isfinite(everything).all():
        return None
    for _ in range(_EXTENSIONS):
        _, sizes, vectors = np.linalg.svd(np.concatenate([basis.T, rows]), full_matrices=False)
        rank = max(1, np.count_nonzero(sizes > 0.1 * _OUTSIDE * sizes[0]))
        basis = np.ascontiguousarray(vectors[:rank].T)
        if basis.shape[1] > most:
            return None
        outside = np.linalg.norm(everything - (everything @ basis) @ basis.T, axis=1)
        rows = everything[outside > _OUTSIDE][:d]
        if len(rows) == 0:
            return basis
    return None


def _directions(rows):
    """Return the rows divided by their lengths, which may be as large or small as numbers are; 0 remains 0."""
    largest = np.max(np.abs(rows), axis=1, keepdims=True)
    with np.errstate(invalid="ignore"):
        scaled = rows / np.where(largest == 0.0, 1.0, largest)
    return scaled / np.maximum(np.linalg.norm(scaled, axis=1, keepdims=True), 1.0)


def pairwise_fields(code, teacher, teacher_weights, W, weights, fields, pulls):
    """Sum over a cloud and a teacher pair by pair, for any kernel; the rest as in `ArcCosineSums`."""
    W = np.ascontiguousarray(W)
    for sources, masses, field, pull in zip((W, teacher), (weights, teacher_weights), fields, pulls, strict=True):
        columns, squares, inner = (
            np.ascontiguousarray(sources.T),
            np.sum(sources**2, axis=1),
            np.empty((1, len(sources))),
        )
        slab = max(1, int(_SLAB_PAIRS / len(sources)))
        for start in range(0, len(W), slab):
            interact(code, W, columns, squares, masses, inner, start, min(start + slab, len(W)), field, pull)
