"""One explicit step of relu networks with two hidden layers, without regulariser: three-layer and hard-synchronised."""

from functools import partial

import numpy as np

import particleflow as pf
from validation.benchmarks.contest import OURS, Bar, Contest, Row
from validation.benchmarks.torch_deep_networks import hard_steps, three_layer_steps
from validation.benchmarks.two_layer import STEP, our_step, products


def problem(n, d, m, s, units):
    """Return inputs (n, d), targets (n,), a (m,), u (m, s) and the first layer W (units, d) drawn from normal laws."""
    rng = np.random.default_rng(2)
    X, y = rng.standard_normal((n, d)), rng.standard_normal(n)
    W = rng.standard_normal((units, d)) / np.sqrt(d)
    return X, y, rng.standard_normal(m), rng.standard_normal((m, s)) / np.sqrt(s), W


def contest(model, data, network, torch_steps):
    """Return the contest of one network; `torch_steps` are name → (step, result)."""
    a, u, W = network
    energy = pf.EmpiricalEnergy(model, data, regularizer="none")
    particles = np.column_stack([a, u, W.reshape(len(a), -1)])
    ours, memory = our_step(energy, particles)
    steps = {OURS: ours, **torch_steps}
    variants = {name: step for name, (step, _) in steps.items()}
    variants["the two products"] = products(data[0], np.column_stack([np.zeros(len(W)), W]))
    results, flops = {name: result for name, (_, result) in steps.items()}, 4.0 * len(data[0]) * W.size
    return Contest(variants, results, flops=flops, memory=memory)


def three_layer(n, d, m, s, quick):
    """Return the contest of a three-layer network."""
    X, y, *network = problem(n, d, m, s, m * s)
    peers = three_layer_steps(X, y, *network, STEP, compiled=not quick and n * m * s < 2e7)
    return contest(pf.ThreeLayer(s, "relu"), (X, y), network, peers)


def hard(n, d, m, s, quick):
    """Return the contest of a hard-synchronised network, each of whose clusters reads s neurons drawn at random."""
    X, y, *network = problem(n, d, m, s, m)
    rng = np.random.default_rng(3)
    supports = np.stack([np.sort(rng.choice(m, s, replace=False)) for _ in range(m)])
    peers = hard_steps(X, y, *network, supports, STEP, compiled=not quick)
    return contest(pf.HardSynchronized(supports, "relu"), (X, y), network, peers)


def row(kind, prepare, n, d, m, s, *bars):
    """Return the row of a shape."""
    title = f"a step of a {kind} relu network, n = {n}, d = {d}, m = {m}, s = {s}, float64"
    return Row(f"{kind}-{d}x{m}x{s}", title, partial(prepare, n, d, m, s), bars)


ROWS = (
    row("three-layer", three_layer, 4000, 100, 50, 16, Bar("torch", 1.7, 2.5)),
    row("three-layer", three_layer, 4000, 20, 2000, 8, Bar("torch", 4.0, 9.0)),
    row(
        "hard-synchronized",
        hard,
        4000,
        100,
        1000,
        16,
        Bar("torch", 3.0, 4.0),
        Bar("torch autograd", 5.0, 7.0),
    ),
)
