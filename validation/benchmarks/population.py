"""The drift of relu networks in the population limit, all m² pairs of particles: ours, and as one writes it by hand."""

from functools import partial

import numpy as np

import particleflow as pf
from validation.benchmarks.contest import OURS, Bar, Contest, Row
from validation.benchmarks.torch_population import torch_drifts

TEACHERS = 5


def problem(m, d, rank):
    """Return particles (m, 1 + d) and a teacher of a few neurons; their weights span so many dimensions."""
    rng = np.random.default_rng(1)
    sources = rng.standard_normal((m, 1 + d)), rng.standard_normal((TEACHERS, 1 + d))
    if rank < d:
        basis = np.linalg.qr(rng.standard_normal((d, rank)))[0]
        for theta in sources:
            theta[:, 1:] = theta[:, 1 : 1 + rank] @ basis.T
    return sources


def our_drift(theta, teacher):
    """Return a function that computes the drift, and one that returns the last one."""
    velocity = pf.PopulationEnergy(pf.TwoLayer("relu"), teacher, regularizer="none").make_velocity(len(theta))
    out = np.empty_like(theta)
    return lambda: velocity(theta, out), lambda: out


def numpy_drift(theta, teacher):
    """Return the same in NumPy."""
    a, w = theta[:, 0], theta[:, 1:].copy()
    out = np.empty_like(theta)

    def pull(v, weights):
        sizes, others = np.linalg.norm(w, axis=1), np.linalg.norm(v, axis=1)
        units, sources, b = w / sizes[:, None], v / others[:, None], weights * others / (2 * np.pi)
        cosines = units @ sources.T
        np.clip(cosines, -1, 1, out=cosines)
        t = np.arccos(cosines)
        sines = np.sin(t, out=cosines)
        return np.subtract(np.pi, t, out=t) @ (b[:, None] * sources) + (sines @ b)[:, None] * units

    def run():
        total = pull(w, a / len(a)) - pull(teacher[:, 1:], teacher[:, 0] / len(teacher))
        out[:, 0] = -np.einsum("id,id->i", w, total)
        out[:, 1:] = -a[:, None] * total

    return run, lambda: out


def products(theta):
    """Return what no drift by two full matrix products can beat: these products alone."""
    w = theta[:, 1:].copy()
    cosines, total = np.empty((len(w), len(w))), np.empty_like(w)

    def run():
        np.matmul(w, w.T, out=cosines)
        np.matmul(cosines, w, out=total)

    return run


def contest(m, d, rank, quick):
    """Return the contest of a size; quick ones leave the compiled variant of PyTorch out."""
    theta, teacher = problem(m, d, rank)
    drifts = {OURS: our_drift(theta, teacher), "numpy by hand": numpy_drift(theta, teacher)}
    drifts |= torch_drifts(theta, teacher, compiled=not quick)
    variants = {name: run for name, (run, _) in drifts.items()}
    results = {name: result for name, (_, result) in drifts.items()}
    return Contest(variants | {"the two products": products(theta)}, results, tolerance=1e-6, work=m * m)


def row(m, d, *bars, rank=None):
    """Return the row of a size."""
    title = f"the drift of a relu network in the population limit, m = {m}, d = {d}, float64"
    name = f"population-{d}x{m}"
    if rank:
        title, name = f"{title}, particles in {rank} dimensions", f"{name}-span{rank}"
    return Row(name, title, partial(contest, m, d, rank or d), bars)


ROWS = (
    row(5000, 10, Bar("torch", 3.5, 5.0)),
    row(5000, 100, Bar("torch", 1.8, 2.7)),
    row(5000, 100, Bar("torch", 1.8, 2.7), rank=10),
)
