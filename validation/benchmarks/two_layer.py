"""One explicit step of a two-layer relu network with the path norm: ours, and as one writes it by hand."""

from functools import partial

import numpy as np

import particleflow as pf
from validation.benchmarks.contest import OURS, Bar, Contest, Row, traced
from validation.benchmarks.torch_two_layer import torch_steps

PENALTY, STEP = 1e-3, 1e-4


def problem(n, d, m):
    """Return inputs (n, d), targets (n,) and particles (m, 1 + d) drawn from normal laws."""
    rng = np.random.default_rng(1)
    X, y = rng.standard_normal((n, d)), rng.standard_normal(n)
    return X, y, np.column_stack([rng.standard_normal(m), rng.standard_normal((m, d)) / np.sqrt(d)])


def our_step(energy, particles):
    """Return a function that makes one explicit Euler step in place and one that returns the particles; and its memory.

    That is everything which one evaluation of the velocity needs beside data and particles, in bytes.
    """
    theta = particles.copy()

    def make():
        velocity, out = energy.make_velocity(len(theta)), np.empty_like(theta)
        velocity(theta, out)
        return velocity, out

    (velocity, out), memory = traced(make)

    def step():
        velocity(theta, out)
        np.multiply(out, STEP, out=out)
        np.add(theta, out, out=theta)

    return (step, lambda: theta), memory


def numpy_step(X, y, particles):
    """Return the same for a step in NumPy, written with care: two products, buffers made once."""
    theta, m = particles.copy(), len(particles)
    a, w = theta[:, 0].copy(), theta[:, 1:].copy()
    z, v = np.empty((len(X), m)), np.empty_like(w)

    def step():
        np.matmul(X, w.T, out=z)
        np.maximum(z, 0.0, out=z)
        r = (z @ a / m - y) / len(y)
        np.multiply(z > 0.0, r[:, None], out=z)
        np.matmul(z.T, X, out=v)
        norms = np.sqrt(np.einsum("ij,ij->i", w, w))
        slope = np.einsum("ij,ij->i", w, v) + PENALTY * np.sign(a) * norms
        np.subtract(w, STEP * (a[:, None] * v + (PENALTY * np.abs(a) / norms)[:, None] * w), out=w)
        np.subtract(a, STEP * slope, out=a)

    return step, lambda: np.column_stack([a, w])


def products(X, particles):
    """Return what no step of two matrix products can beat: these products alone."""
    w = particles[:, 1:].copy()
    z, v = np.empty((len(X), len(w))), np.empty_like(w)

    def run():
        np.matmul(X, w.T, out=z)
        np.matmul(z.T, X, out=v)

    return run


def contest(n, d, m, quick):
    """Return the contest of a shape; quick ones leave the compiled variants of PyTorch out."""
    X, y, particles = problem(n, d, m)
    energy = pf.EmpiricalEnergy(pf.TwoLayer("relu"), (X, y), strength=2 * PENALTY)
    ours, memory = our_step(energy, particles)
    steps = {OURS: ours, "numpy by hand": numpy_step(X, y, particles)}
    steps |= torch_steps(X, y, particles, PENALTY, STEP, compiled=not quick)
    variants = {name: step for name, (step, _) in steps.items()}
    results = {name: result for name, (_, result) in steps.items()}
    variants["the two products"] = products(X, particles)
    return Contest(variants, results, flops=4.0 * n * m * d, memory=memory)


def row(n, d, m, *bars):
    """Return the row of a shape."""
    title = f"a step of a two-layer relu network, n = {n}, d = {d}, m = {m}, float64"
    return Row(f"two-layer-{d}x{m}", title, partial(contest, n, d, m), bars)


ROWS = (
    row(4000, 100, 50, Bar("torch", 1.5, 2.0)),
    row(4000, 100, 1000, Bar("torch", 1.6, 2.3), Bar("torch autograd", 3.0, 4.0), Bar("the two products", 1.0, 1.5)),
    row(4000, 100, 10_000, Bar("torch", 1.6, 2.3), Bar("torch autograd", 3.0, 4.0), Bar("the two products", 1.0, 1.5)),
    row(4000, 10, 1000, Bar("torch", 3.0, 6.0)),
    row(200, 2, 1000, Bar("torch", 20.0, 50.0)),
)
