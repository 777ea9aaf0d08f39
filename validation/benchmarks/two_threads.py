"""Steps on one and two threads, in wall time; beside them what the machine gives to two at once.

For the latter two processes make steps of their own, which share nothing but the machine: no step can gain more from a
second thread.
"""

import math
import os
import subprocess
import sys
import time
from functools import partial

import numpy as np

import particleflow as pf
from validation.benchmarks.contest import OURS, Bar, Contest, Row
from validation.processes import ONE_THREAD

ONE, HALF = "one thread", "half of two steps at once"
_LEAST = 0.1  # s of work for each call
_CODE = "import sys; from validation.benchmarks.two_threads import serve; serve(sys.argv[1])"


def network_step(make, m, d, n=4000):
    """Return a function that evaluates the velocity of a network, at particles and data drawn from normal laws."""
    rng, model = np.random.default_rng(1), make()
    energy = pf.EmpiricalEnergy(model, (rng.standard_normal((n, d)), rng.standard_normal(n)), regularizer="none")
    theta = rng.standard_normal((m, model.layout(d).size))
    return partial(energy.make_velocity(m), theta, np.empty_like(theta))


def population_step(m, d):
    """Return the same for the population risk of relu networks."""
    rng = np.random.default_rng(1)
    energy = pf.PopulationEnergy(pf.TwoLayer("relu"), rng.standard_normal((5, 1 + d)), regularizer="none")
    theta = rng.standard_normal((m, 1 + d))
    return partial(energy.make_velocity(m), theta, np.empty_like(theta))


def serve(name):
    """Make as many steps of a row as each line of the standard input says, and print a line for it."""
    step = STEPS[name]()
    for line in sys.stdin:
        for _ in range(int(line)):
            step()
        print(flush=True)


class _Process:
    """A process that makes steps of a row on so many threads."""

    def __init__(self, name, threads):
        # as in a flow, BLAS has one thread
        environment = os.environ | ONE_THREAD | {"NUMBA_NUM_THREADS": str(threads)}
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "bufsize": 1}
        self.process = subprocess.Popen([sys.executable, "-c", _CODE, name], env=environment, **pipes)

    def begin(self, steps):
        self.process.stdin.write(f"{steps}\n")

    def end(self):
        assert self.process.stdout.readline(), "the process has ended"


def contest(name, quick):
    """Return the contest of a row."""
    one, other, two = _Process(name, 1), _Process(name, 1), _Process(name, 2)

    def run(*processes, steps):
        for process in processes:
            process.begin(steps)
        for process in processes:
            process.end()

    run(one, other, two, steps=3)
    start = time.perf_counter()
    run(one, steps=3)
    steps = math.ceil(3 * _LEAST / (time.perf_counter() - start))
    variants = {OURS: partial(run, two, steps=steps), ONE: partial(run, one, steps=steps)}
    variants[HALF] = partial(run, one, other, steps=steps)
    return Contest(variants, parts={OURS: steps, ONE: steps, HALF: 2 * steps}, clock=time.perf_counter)


def hard():
    """Return a hard-synchronised network."""
    return pf.HardSynchronized(pf.exact_supports(1000, 16, 1))


STEPS = {
    "two-layer-100x50": partial(network_step, pf.TwoLayer, 50, 100),
    "two-layer-100x1000": partial(network_step, pf.TwoLayer, 1000, 100),
    "two-layer-10x1000": partial(network_step, pf.TwoLayer, 1000, 10),
    "three-layer-100x50x16": partial(network_step, partial(pf.ThreeLayer, 16), 50, 100),
    "three-layer-20x2000x8": partial(network_step, partial(pf.ThreeLayer, 8), 2000, 20),
    "hard-synchronized-100x1000x16": partial(network_step, hard, 1000, 100),
    "erf-100x50": partial(network_step, partial(pf.TwoLayer, "erf"), 50, 100),
    "plane-100000": partial(network_step, pf.TwoLayer, 100_000, 2, 100_000),
    "plane-1000000": partial(network_step, pf.TwoLayer, 1_000_000, 2, 1_000_000),
    "population-10x5000": partial(population_step, 5000, 10),
    "population-100x5000": partial(population_step, 5000, 100),
}
BARS = Bar(ONE, 1.7, 1.9), Bar(HALF, 0.85, 1.0)
ROWS = tuple(Row(f"threads-{name}", f"{name}: two threads", partial(contest, name), BARS) for name in STEPS)
