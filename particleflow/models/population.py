"""The velocity of two-layer networks in the population limit: particles and teacher as sources of one field.

With weights a_j/m for the particles and −a*_k/m_t for the teacher's neurons, Q(w) = Σ_s weights_s κ(w, v_s) gives
G = a Q(w) + (λ/2) V(θ): ∇_a = Q, ∇_w = a ∇Q, and L = C + ∫ a (Q + Q_teacher) dμ + λ∫V dμ.
"""

import numpy as np

from particleflow.gaussian_kernels import interact
from particleflow.models.sliding import SlidingVelocity
from particleflow.regularizers import SMOOTH, add_regularizer

# About 0.1 s of work: between two slabs of particles Python can react to a signal.
_SLAB_PAIRS = 2e6


def make_population_velocity(kernel, m):
    """Return ``velocity(theta, out) -> parts`` for m particles and a `particleflow.kernels.PopulationKernel`."""
    d, count = kernel.teacher.shape[1] - 1, len(kernel.teacher)
    code, constant = kernel.activation.code, kernel.constant
    teacher = np.ascontiguousarray(kernel.teacher[:, 1:].T)
    sources = [
        (np.empty((d, m)), np.empty(m), np.empty(m)),
        (teacher, np.sum(teacher**2, axis=0), -kernel.teacher[:, 0] / count),
    ]
    work = [np.empty((1, m)), np.empty((1, count))]
    fields, pulls, value = np.empty((2, m)), np.empty((2, m, d)), np.empty(m)
    slab = max(1, int(_SLAB_PAIRS / (m + count)))

    def velocity(theta, out):
        W = np.ascontiguousarray(theta[:, 1:])
        cloud, squares, weights = sources[0]
        cloud[...], weights[...] = W.T, theta[:, 0] / m
        np.sum(W * W, axis=1, out=squares)
        for (columns, sizes, masses), inner, field, pull in zip(sources, work, fields, pulls, strict=True):
            for start in range(0, m, slab):
                interact(code, W, columns, sizes, masses, inner, start, min(start + slab, m), field, pull)
        risk = constant + float(np.mean(theta[:, 0] * (fields[0] + 2 * fields[1])))
        out[:, 0] = fields[0] + fields[1]
        out[:, 1:] = theta[:, :1] * (pulls[0] + pulls[1])
        add_regularizer(kernel.regularizer.code, theta, 0.5 * kernel.strength, value, out)
        np.negative(out, out=out)
        return {"risk": risk, "regularization": kernel.strength * float(value.mean())}

    if kernel.regularizer.code in SMOOTH:
        return velocity
    return SlidingVelocity(velocity, np.empty((0, d)), np.empty(0), kernel.regularizer.code, 0.5 * kernel.strength, m)
