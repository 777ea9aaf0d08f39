"""Exact W2² between clouds of one size: ours, POT's network simplex, SciPy's shortest augmenting paths.

All start from the particles: the matrix of costs is part of the computation.
"""

from functools import partial

import numpy as np

import particleflow as pf
from validation.benchmarks.contest import OURS, Bar, Contest, Row

STEP = 1e-3


def clouds(m, d):
    """Return two Gaussian clouds (m, d), the second one shifted."""
    rng = np.random.default_rng(1)
    return rng.standard_normal((m, d)), rng.standard_normal((m, d)) + 0.5


def costs(X, Y):
    """Return |x_i − y_j|², shape (m, m), by one matrix product."""
    C = X @ Y.T
    C *= -2
    C += np.sum(X * X, axis=1)[:, None]
    C += np.sum(Y * Y, axis=1)
    return C


def by_pot(X, Y):
    """Return W2² by POT."""
    import ot

    masses = np.full(len(X), 1 / len(X))
    return ot.emd2(masses, masses, costs(X, Y), numItermax=10**8)


def by_scipy(X, Y):
    """Return W2² by SciPy."""
    from scipy.optimize import linear_sum_assignment

    C = costs(X, Y)
    return C[linear_sum_assignment(C)].mean()


def cold(m, d, scipy, quick):
    """Return the contest of two clouds; quick ones leave SciPy out."""
    X, Y = clouds(m, d)
    ways = {OURS: pf.w2_squared, "POT": by_pot} | ({"SciPy": by_scipy} if scipy and not quick else {})
    return _contest({name: _repeated(way, lambda: (X, Y)) for name, way in ways.items()})


def along(m, d, quick):
    """Return the contest of a cloud that moves by `STEP` each time, towards one that rests."""
    Y = clouds(m, d)[1]
    ways = {OURS: pf.Matcher().w2, "POT": lambda X, Y: np.sqrt(by_pot(X, Y))}
    return _contest({name: _repeated(way, partial(_moved, _path(m, d), Y)) for name, way in ways.items()})


def _path(m, d):
    X = clouds(m, d)[0]
    velocity = np.tanh(X @ np.random.default_rng(2).standard_normal((d, d)) / np.sqrt(d)) - 0.3 * X
    while True:
        X = X + STEP * velocity
        yield X


def _moved(path, Y):
    return next(path), Y


def _repeated(way, pair):
    """Return a function that computes a distance, and one that returns the last one computed."""
    last = np.empty(1)

    def run():
        last[0] = way(*pair())

    return run, lambda: last


def _contest(ways):
    return Contest({name: run for name, (run, _) in ways.items()}, {name: result for name, (_, result) in ways.items()})


def row(m, d, *bars):
    """Return the row of a size; SciPy takes minutes in the plane."""
    title = f"exact W2² of two clouds, m = {m}, d = {d}, from the particles on"
    return Row(f"w2-{d}x{m}", title, partial(cold, m, d, d > 2 or m < 4000), bars)


def moving(m, d, *bars):
    """Return the row of a cloud that moves."""
    title = f"exact W2 along a trajectory, steps of {STEP:g}, m = {m}, d = {d}, against POT cold"
    return Row(f"w2-along-{d}x{m}", title, partial(along, m, d), bars)


ROWS = (
    row(1000, 2, Bar("POT", 2.0, 3.0)),
    row(1000, 16, Bar("POT", 5.0, 8.0)),
    row(1000, 100, Bar("POT", 5.0, 8.0)),
    row(4000, 2, Bar("POT", 2.0, 3.0)),
    row(4000, 16, Bar("POT", 8.0, 14.0)),
    row(4000, 100, Bar("POT", 8.0, 14.0)),
    moving(1000, 2, Bar("POT", 5.0, 8.0)),
    moving(1000, 16, Bar("POT", 20.0, 45.0)),
    moving(1000, 100, Bar("POT", 15.0, 28.0)),
)
