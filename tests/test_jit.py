import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import particleflow
from particleflow.jit import KernelCache, jit, source_stamp
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


def test_a_number_in_the_source_of_a_kernel_is_no_type_of_its_own():
    @jit
    def double(x):
        return 2 * x

    @jit
    def sum_of_doubles(count):
        total = 0
        for _ in range(count):
            total = double(total) + double(1) + double(count)
        return total

    assert sum_of_doubles(2) == 2 * (2 + 4) + 2 + 4
    assert len(double.signatures) == 1


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


KERNEL = """
import sys
sys.path.insert(0, sys.argv[1])
import particleflow.losses as losses
assert losses.__file__.startswith(sys.argv[1])
value = losses.get_loss("squared").value([1.0, 2.0], [0.5, 2.5]).sum()
print(value, sum(losses.loss_values.stats.cache_hits.values()))
"""


@pytest.fixture
def read_only_package(tmp_path):
    """A copy of the package in which Python and Numba can write no cache, root or not: files stand in the way."""
    source = Path(particleflow.__file__).parent
    shutil.copytree(source, tmp_path / "particleflow", ignore=shutil.ignore_patterns("__pycache__"))
    for folder in {path.parent for path in (tmp_path / "particleflow").rglob("*.py")}:
        (folder / "__pycache__").touch()
    return tmp_path


def start(folder, cache):
    environment = {**os.environ, "XDG_CACHE_HOME": str(cache), "PYTHONDONTWRITEBYTECODE": "1"}
    environment.pop("NUMBA_CACHE_DIR", None)
    command = [sys.executable, "-c", KERNEL, str(folder)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def answers(*processes):
    outputs = [process.communicate() for process in processes]
    assert all(process.returncode == 0 for process in processes), outputs
    return [tuple(map(float, out.split())) for out, _ in outputs], outputs[0][1]


def test_a_read_only_package_caches_for_the_user_whoever_starts_at_once(read_only_package):
    cache = read_only_package / "cache"
    first, notes = answers(start(read_only_package, cache), start(read_only_package, cache))
    assert [value for value, _ in first] == [0.5, 0.5]
    assert not notes
    second, _ = answers(start(read_only_package, cache))
    assert second == [(0.5, 1.0)]


def test_without_any_folder_for_a_cache_kernels_work_and_a_note_says_so(read_only_package):
    blocked = read_only_package / "blocked"
    blocked.touch()
    result, notes = answers(start(read_only_package, blocked))
    assert result == [(0.5, 0.0)]
    assert "NUMBA_CACHE_DIR" in notes


def test_entries_of_other_source_or_types_or_cut_short_count_as_none(tmp_path):
    old, new = KernelCache(str(tmp_path), "kernel", "old"), KernelCache(str(tmp_path), "kernel", "new")
    old.save("types", b"old code")
    assert old.load("types") == b"old code"
    assert old.load("others") is None
    new._save_index({"types": new._data_name(1)})  # noted, and killed before it was written
    assert new.load("types") is None
    new.save("types", b"new code")
    new._save_index({"types": new._data_name(1), "others": new._data_name(1)})  # two processes chose one number
    assert new.load("others") is None
    assert new.load("types") == b"new code"
    entry = tmp_path / new._data_name(1)
    entry.write_bytes(entry.read_bytes()[:-5])
    assert new.load("types") is None
    KernelCache(str(tmp_path / "missing"), "kernel", "new").save("types", b"code")  # nowhere to write


def test_the_main_path_loads_neither_transport_nor_torch_nor_pyplot():
    """They take seconds, and a flow does not need them; nor does it need SciPy's larger rooms."""
    script = FLOW + "import sys; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    loaded = set(run.stdout.split())
    assert "numba" in loaded
    for package in ("ot", "torch", "matplotlib", "scipy.optimize", "scipy.stats", "scipy.spatial", "cvxpy", "pandas"):
        assert package not in loaded
