"""Steps of relu networks in the plane, whose cost is that of n + m numbers and not of n·m pairs."""

from functools import partial

import numpy as np
from numba import njit

import particleflow as pf
from validation.benchmarks.contest import OURS, Bar, Contest, Row
from validation.benchmarks.two_layer import PENALTY, our_step, problem

TILE = 256
SHARE = 50
"""The loop over all pairs is timed with this part of the particles: with all, one step takes half a minute."""


@njit(fastmath=True)
def loop_over_pairs(X, y, particles, out):
    """Fill out (m, 3) with the gradient of the risk (half of it, as that of G): tiles of data, one loop over pairs."""
    n, m = len(y), len(particles)
    f = np.empty(TILE)
    out[:] = 0.0
    for first in range(0, n, TILE):
        count = min(TILE, n - first)
        x0, x1 = X[0, first : first + count], X[1, first : first + count]
        f[:] = 0.0
        for j in range(m):
            a, w0, w1 = particles[j]
            for i in range(count):
                f[i] += a * max(w0 * x0[i] + w1 * x1[i], 0.0)
        for i in range(count):
            f[i] = (f[i] / m - y[first + i]) / n
        for j in range(m):
            a, w0, w1 = particles[j]
            v0, v1 = 0.0, 0.0
            for i in range(count):
                r = f[i] if w0 * x0[i] + w1 * x1[i] > 0.0 else 0.0
                v0 += r * x0[i]
                v1 += r * x1[i]
            out[j, 0] += w0 * v0 + w1 * v1
            out[j, 1] += a * v0
            out[j, 2] += a * v1


def against_pairs(n, m, quick):
    """Return the contest with the loop over all pairs."""
    X, y, particles = problem(n, 2, m)
    some = particles[: m // SHARE]
    out, columns = np.empty_like(some), np.ascontiguousarray(X.T)
    loop = partial(loop_over_pairs, columns, y, some, out)
    energy = pf.EmpiricalEnergy(pf.TwoLayer("relu"), (X, y), strength=2 * PENALTY)
    bare = pf.EmpiricalEnergy(pf.TwoLayer("relu"), (X, y), regularizer="none")
    (step, _), memory = our_step(energy, particles)
    return Contest(
        {OURS: step, "the loop over pairs": loop},
        {OURS: lambda: -bare.velocity(some), "the loop over pairs": lambda: out},
        parts={"the loop over pairs": 1 / SHARE},
        work=n + m,
        memory=memory,
    )


def alone(n, m, quick):
    """Return the contest without a peer."""
    X, y, particles = problem(n, 2, m)
    energy = pf.EmpiricalEnergy(pf.TwoLayer("relu"), (X, y), strength=2 * PENALTY)
    (step, _), memory = our_step(energy, particles)
    return Contest({OURS: step}, work=n + m, memory=memory)


def row(prepare, size, *bars):
    """Return the row of as many data as particles."""
    title = f"a step of a two-layer relu network, n = m = {size:,}, d = 2, float64; ns per datum and particle"
    return Row(f"plane-{size}", title, partial(prepare, size, size), bars)


COST = Bar("", 40.0, 20.0, "ns")
ROWS = (
    row(against_pairs, 100_000, Bar("the loop over pairs", 300.0, 1000.0), COST),
    row(alone, 1_000_000, COST),
)
