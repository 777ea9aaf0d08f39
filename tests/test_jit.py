import os
import subprocess
import sys

from particleflow.jit import jit, source_stamp
from particleflow.models.sliding import find_contacts

FLOW = """
import numpy as np, particleflow as pf
rng = np.random.default_rng(0)
data = pf.dataset_from_arrays(rng.uniform(-1, 1, 12), rng.normal(size=12), bias=True)
energy = pf.EmpiricalEnergy(pf.TwoLayer("relu"), data, strength=0.1)
result = pf.solve(energy, pf.gaussian(5, 2, rng=0), 3.0, rtol=1e-4, frames=1)
print(result.observables["sliding"][-1] > 0, *result.measure.particles.ravel())
"""


def test_a_change_in_any_room_compiles_every_kernel_anew(tmp_path):
    (tmp_path / "a.py").write_text("1")
    first = source_stamp.__wrapped__(tmp_path)
    (tmp_path / "b.py").write_text("2")
    second = source_stamp.__wrapped__(tmp_path)
    os.utime(tmp_path / "a.py", (0, 0))
    assert len({first, second, source_stamp.__wrapped__(tmp_path)}) == 3
    # Numba's own stamp would be (mtime, size) of one file
    names = [name for name, *_ in find_contacts._cache._cache_file._source_stamp]
    assert "models/kinks.py" in names
    assert "models/sliding.py" in names


def test_nan_is_not_optimised_away():
    @jit
    def is_nan(x):
        return x != x

    assert is_nan(float("nan"))


def test_the_same_flow_in_plain_python():
    """The compiled kernels against the interpreter: out-of-bounds accesses and undefined variables would show here."""
    outputs = []
    for disable in ("0", "1"):
        environment = {**os.environ, "NUMBA_DISABLE_JIT": disable}
        run = subprocess.run([sys.executable, "-c", FLOW], env=environment, capture_output=True, text=True, check=True)
        slides, *numbers = run.stdout.split()
        assert slides == "True"
        outputs.append([float(number) for number in numbers])
    assert max(abs(a - b) for a, b in zip(*outputs, strict=True)) < 1e-6
