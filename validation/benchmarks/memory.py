"""How much memory a step of a two-layer relu network needs, as the operating system counts it.

    python -m validation.benchmarks.memory [--m 1000000] [--n 100000] [--d 20]

The default takes about three minutes: 4 n m d operations, and half of them once more, since the signs of more than
8.6e9 pairs are not kept.
"""

import argparse
import resource
import time

import numpy as np

import particleflow as pf


def main():
    """Print what is expected and what is measured."""
    parser = argparse.ArgumentParser(prog="python -m validation.benchmarks.memory", description=__doc__.split("\n")[0])
    for name, default in (("m", 1_000_000), ("n", 100_000), ("d", 20)):
        parser.add_argument(f"--{name}", type=int, default=default)
    sizes = parser.parse_args()
    m, n, d = sizes.m, sizes.n, sizes.d
    _step(100, 100, d)  # everything is compiled and loaded
    before, start = _most(), time.perf_counter()
    _step(m, n, d)
    inputs, particles, padded = 8e-6 * n * d, 8e-6 * m * (1 + d), -(-d // 8) * 8 / d
    signs = min(n * m / 8, 2**30) / 1e6
    expected = (2 + padded) * inputs + 3 * particles + signs
    print(f"m = {m}, n = {n}, d = {d}, one evaluation in {time.perf_counter() - start:.0f} s")
    print(f"  inputs {inputs:.0f} MB, particles {particles:.0f} MB, signs {signs:.0f} MB")
    print(f"  three times the inputs, three times the particles, and the signs: {expected:.0f} MB")
    print(f"  measured: {_most() - before:.0f} MB")


def _step(m, n, d):
    rng = np.random.default_rng(0)
    X, theta = rng.standard_normal((n, d)), rng.standard_normal((m, 1 + d))
    energy = pf.EmpiricalEnergy(pf.TwoLayer("relu"), (X, X[:, 0]), strength=1e-3)
    out = np.empty_like(theta)
    return energy.make_velocity(m)(theta, out)


def _most():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


if __name__ == "__main__":
    main()
