"""How the cost of a step grows with its sizes: exponents, fitted to times that were taken in turns."""

from functools import partial

import particleflow as pf
from validation.benchmarks.contest import Bar, Contest, Row
from validation.benchmarks.two_layer import PENALTY, our_step, problem


def step(n, d, m):
    """Return a step of a two-layer relu network of these sizes."""
    X, y, particles = problem(n, d, m)
    (run, _), _ = our_step(pf.EmpiricalEnergy(pf.TwoLayer("relu"), (X, y), strength=2 * PENALTY), particles)
    return run


def growth(name, sizes, shape, quick):
    """Return the contest of one step at several sizes; quick ones leave the largest out."""
    sizes = sizes[: len(sizes) - quick]
    steps = {f"{name} = {size}": step(*shape(size)) for size in sizes}
    return Contest(steps, sizes=dict(zip(steps, sizes, strict=True)))


def row(name, sizes, shape, must, title):
    """Return the row of one size; `shape` makes (n, d, m) of it."""
    bar = Bar("", must, 1.0, "(exponent)")
    return Row(
        f"growth-{name}", f"growth of a two-layer relu step with {title}", partial(growth, name, sizes, shape), (bar,)
    )


ROWS = (
    row("n", (1000, 2000, 4000, 8000, 16_000), lambda n: (n, 64, 512), 1.1, "n, d = 64, m = 512"),
    row("d", (32, 64, 128, 256, 512), lambda d: (2000, d, 512), 1.1, "d, n = 2000, m = 512"),
    row("m", (128, 256, 512, 1024, 2048), lambda m: (2000, 64, m), 1.1, "m, n = 2000, d = 64"),
    row("n+m", (2_000, 20_000, 200_000, 2_000_000), lambda both: (both // 2, 2, both // 2), 1.2, "n + m, n = m, d = 2"),
)
