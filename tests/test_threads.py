"""Work shared among threads: everything once, the same bits for any number of them, errors, forks."""

import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from particleflow.threads import pieces, rounds, share

VELOCITIES = """
import hashlib, numpy as np, particleflow as pf
rng = np.random.default_rng(0)
X, y = rng.normal(size=(700, 40)), rng.normal(size=700)
hard = pf.HardSynchronized(pf.bernoulli_supports(600, 4, 1))
for model, m, p in (
    (pf.TwoLayer("relu"), 1300, 41), (pf.ThreeLayer(4), 300, 165), (hard, 600, 1 + hard.s + 40),
    (pf.TwoLayer("erf"), 200, 41), (pf.ThreeLayer(4, "tanh"), 50, 165),
):
    theta, out = rng.normal(size=(m, p)), np.empty((m, p))
    quantities = pf.EmpiricalEnergy(model, (X, y), strength=0.1, regularizer="path-norm").make_velocity(m)(theta, out)
    assert out.any()
    print(hashlib.sha256(out.tobytes()).hexdigest(), quantities["risk"])
"""

FLOWS = """
import hashlib, numpy as np, particleflow as pf
rng = np.random.default_rng(0)
for model, n, d, m in ((pf.TwoLayer(), 700, 40, 600), (pf.TwoLayer(), 60, 2, 3000), (pf.ThreeLayer(4), 700, 30, 60)):
    X, y = rng.normal(size=(n, d)), rng.normal(size=n)
    energy = pf.EmpiricalEnergy(model, (X, y), strength=0.5, regularizer="path-norm")
    measure = pf.EmpiricalMeasure(rng.normal(size=(m, energy.layout.size)), energy.layout)
    result = pf.solve(energy, measure, 1.0, frames=1, rtol=1e-3)
    assert result.observables["sliding"][-1] > 0.2
    print(hashlib.sha256(result.measure.particles.tobytes()).hexdigest())
"""

FORK = """
import os, signal
from particleflow.threads import pieces, share
seen = []
share(lambda first, last: seen.append(first), pieces(9, 1))
child = os.fork()
if child == 0:
    signal.alarm(20)  # ends a child that waits for threads that it does not have
    share(lambda first, last: seen.append(first), pieces(9, 1))
    os._exit(sorted(seen) != sorted(2 * list(range(9))))
assert os.waitpid(child, 0)[1] == 0
"""


def run(code, threads):
    counts = {"NUMBA_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": "1"}
    environment = os.environ | counts
    return subprocess.run([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, text=True, check=True)


@pytest.mark.parametrize(("code", "lines"), [(VELOCITIES, 5), (FLOWS, 3)], ids=["velocities", "flows"])
def test_the_same_bits_on_one_and_two_threads(code, lines):
    outputs = [run(code, threads).stdout for threads in "12"]
    assert outputs[0] == outputs[1]
    assert len(outputs[0].splitlines()) == lines


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no forks here")
def test_a_forked_process_has_threads_of_its_own():
    run(FORK, "2")


@pytest.mark.parametrize("threads", [1, 2])
def test_pieces_cover_everything_once_and_errors_are_raised(threads, monkeypatch):
    monkeypatch.setattr("particleflow.threads._count", lambda: threads)
    assert pieces(7, 3) == [(0, 3), (3, 6), (6, 7)]
    seen = np.zeros(1000, dtype=int)

    def count(first, last):
        seen[first:last] += 1
        if last == 700:
            raise ZeroDivisionError

    share(count, pieces(600, 7))
    assert seen[:600].min() == seen[:600].max() == 1
    with pytest.raises(ZeroDivisionError):
        share(count, pieces(700, 7))


@given(st.integers(1, 3000), st.integers(1, 300), st.floats(1, 1e10), st.floats(1, 1e10))
def test_rounds_cover_the_data_once_in_order(count, rows, flops, memory):
    found = rounds(count, rows, flops, memory)
    ends = [(first, last) for some in found for _, first, last in some]
    assert [first for first, _ in ends] == [0, *(last for _, last in ends[:-1])]
    assert ends[-1][1] == count
    assert all(first % rows == 0 for first, _ in ends)
    for some in found:
        assert [part for part, _, _ in some] == list(range(len(some)))
        assert len(some) <= len(found[0]) <= max(1, min(4, 2**28 / memory))
        assert all(last - first <= max(rows, 5e8 / flops) for _, first, last in some)
