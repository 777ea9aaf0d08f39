"""The velocity of two-layer networks in the population limit: particles and teacher as sources of one field.

With weights a_j/m for the particles and −a*_k/m_t for the teacher's neurons, Q(w) = Σ_s weights_s κ(w, v_s) gives
G = a Q(w) + (λ/2) V(θ): ∇_a = Q, ∇_w = a ∇Q, and L = C + ∫ a (Q + Q_teacher) dμ + λ∫V dμ.
"""

from functools import partial

import numpy as np
from numba import config

from particleflow.activations import RELU
from particleflow.arc_cosine import ArcCosineSums
from particleflow.gaussian_kernels import interact
from particleflow.models.sliding import SlidingVelocity
from particleflow.regularizers import SMOOTH, add_regularizer

# About 0.1 s of work: between two slabs of particles Python can react to a signal.
_SLAB_PAIRS = 2e6


def make_population_velocity(kernel, m):
    """Return ``velocity(theta, out) -> parts`` for m particles and a `particleflow.kernels.PopulationKernel`."""
    d, constant = kernel.teacher.shape[1] - 1, kernel.constant
    teacher, masses = np.ascontiguousarray(kernel.teacher[:, 1:]), -kernel.teacher[:, 0] / len(kernel.teacher)
    fields, pulls, value = np.empty((2, m)), np.empty((2, m, d)), np.empty(m)
    if kernel.activation.code == RELU and not config.DISABLE_JIT:
        add_up = ArcCosineSums(m, teacher, masses).add_up
    else:
        add_up = partial(pairwise_fields, kernel.activation.code, teacher, masses)

    def velocity(theta, out):
        add_up(theta[:, 1:], theta[:, 0] / m, fields, pulls)
        risk = constant + float(np.mean(theta[:, 0] * (fields[0] + 2 * fields[1])))
        out[:, 0] = fields[0] + fields[1]
        np.multiply(theta[:, :1], np.add(*pulls, out=pulls[0]), out=out[:, 1:])
        add_regularizer(kernel.regularizer.code, theta, 0.5 * kernel.strength, value, out)
        np.negative(out, out=out)
        return {"risk": risk, "regularization": kernel.strength * float(value.mean())}

    if kernel.regularizer.code in SMOOTH:
        return velocity
    return SlidingVelocity(velocity, np.empty((0, d)), np.empty(0), kernel.regularizer.code, 0.5 * kernel.strength, m)


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
