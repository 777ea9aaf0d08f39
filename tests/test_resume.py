"""Flows that are stopped and resumed: the same bits as flows that never were, and what is refused."""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import h5py
import numpy as np
import pytest

import particleflow as pf

METHODS = {
    "dopri5": {"t_end": 2.0, "rtol": 1e-5},
    "bs23": {"t_end": 2.0},
    "euler": {"t_end": 2.0, "step": 0.05},
    "monotone": {"t_end": 20.0, "method": "euler", "step": 4.0, "monotone": True},
    "dopri5 with births": {"t_end": 20.0, "birth": {"every": 3.0, "particles": 2}},
    "langevin": {"t_end": 2.0, "step": 0.05, "temperature": 1e-3},
    "sgd": {"learning_rate": 0.2, "steps": 60, "batch_size": 5},
    "adam": {"learning_rate": 0.02, "steps": 60, "batch_size": 5},
    "adam on all data": {"method": "adam", "learning_rate": 0.02, "steps": 60},
}


def problem(activation="relu", strength=1e-2):
    rng = np.random.default_rng(5)
    X = np.column_stack([rng.normal(size=12), np.ones(12)])
    return pf.EmpiricalEnergy(pf.TwoLayer(activation), (X, rng.normal(size=12)), strength=strength), pf.sphere(
        8, 2, rng=1
    )


class Kill(pf.Observer):
    """Ends a flow after so many steps: by an exception, or as Ctrl-C does."""

    def __init__(self, steps, interrupt=False):
        self.steps, self.interrupt = steps, interrupt

    def watch(self, state):
        if state.steps == self.steps:
            if not self.interrupt:
                raise RuntimeError("killed")
            signal.raise_signal(signal.SIGINT)


def assert_same(path, other, *, seconds=False):
    with pf.open(path) as one, pf.open(other) as two:
        np.testing.assert_array_equal(one.time, two.time)
        assert (one.status, one.message, one.fingerprint) == (two.status, two.message, two.fingerprint)
        for k in range(len(one)):
            np.testing.assert_array_equal(one.particles(k).particles, two.particles(k).particles)
        assert one.observables.keys() == two.observables.keys()
        for name, values in one.observables.items():
            np.testing.assert_array_equal(values, two.observables[name], err_msg=name)
        assert one.checkpoint.keys() == two.checkpoint.keys()
        for name, value in one.checkpoint.items():
            np.testing.assert_array_equal(value, two.checkpoint[name], err_msg=name)


def settings_of(name):
    return {"method": name.split()[0], "frames": 6, "seed": 3} | METHODS[name]


@pytest.mark.parametrize("interrupt", [False, True], ids=["killed", "interrupted"])
@pytest.mark.parametrize("name", METHODS)
def test_a_resumed_flow_has_the_bits_of_one_that_never_stopped(name, interrupt, tmp_path):
    settings = settings_of(name)
    whole = pf.solve(*problem(), **settings, file=tmp_path / "whole.h5")
    for share in (0.3, 0.6, 0.9):  # three stops on one way
        stop = Kill(int(share * whole.steps), interrupt)
        with suppress(RuntimeError):
            pf.solve(*problem(), **settings, file=tmp_path / "parts.h5", resume=True, observers=[stop])
        with h5py.File(tmp_path / "parts.h5") as file:
            assert file.attrs["status"] == (b"interrupted" if interrupt else b"failed")
    resumed = pf.solve(*problem(), **settings, file=tmp_path / "parts.h5", resume=True)
    assert_same(tmp_path / "parts.h5", tmp_path / "whole.h5")
    np.testing.assert_array_equal(resumed.measure.particles, whole.measure.particles)
    assert (resumed.steps, resumed.rejected, resumed.evaluations) == (whole.steps, whole.rejected, whole.evaluations)
    for key, values in whole.observables.items():
        np.testing.assert_array_equal(resumed.observables[key], values, err_msg=key)


def deep_problem():
    rng = np.random.default_rng(0)
    energy = pf.EmpiricalEnergy(pf.ThreeLayer(3), (rng.normal(size=(30, 3)), rng.normal(size=30)), strength=0.05)
    return energy, pf.gaussian(10, energy.layout, rng=0)


@pytest.mark.parametrize(
    ("problem", "t_end"), [(lambda: problem(strength=0.05), 60.0), (deep_problem, 20.0)], ids=["two layers", "three"]
)
def test_particles_that_slide_go_on_sliding(problem, t_end, tmp_path):
    """Contacts are part of the checkpoint: late relu flows live on kinks."""
    settings = {"t_end": t_end, "frames": 12}
    whole = pf.solve(*problem(), **settings, file=tmp_path / "whole.h5")
    assert whole.observables["sliding"][-3] > 0
    with pytest.raises(RuntimeError):
        stop = [Kill(int(0.8 * whole.steps))]
        pf.solve(*problem(), **settings, file=tmp_path / "parts.h5", observers=stop)
    with pf.open(tmp_path / "parts.h5") as file:
        assert len(file.checkpoint["contacts"][0]) > 0
    pf.solve(*problem(), **settings, file=tmp_path / "parts.h5", resume=True)
    assert_same(tmp_path / "parts.h5", tmp_path / "whole.h5")


def test_a_file_that_is_not_there_is_begun(tmp_path):
    pf.solve(*problem(), 1.0, frames=2, file=tmp_path / "one.h5", resume=True)
    pf.solve(*problem(), 1.0, frames=2, file=tmp_path / "two.h5")
    assert_same(tmp_path / "one.h5", tmp_path / "two.h5")


def test_a_flow_that_was_killed_before_its_first_frame_is_begun(tmp_path):
    code = """
import os, signal
import particleflow as pf
from test_resume import problem

class Dies(pf.Observer):
    def measure(self, state):
        os.kill(os.getpid(), signal.SIGKILL)

pf.solve(*problem(), 1.0, frames=2, file="one.h5", observers=[Dies()])
"""
    places = (str(Path(__file__).parent), os.environ.get("PYTHONPATH", ""))
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(places)}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, timeout=300, check=False)
    assert done.returncode == -signal.SIGKILL
    with pytest.raises(pf.TrajectoryError, match=r"no frame.*--overwrite"):
        pf.open(tmp_path / "one.h5")
    test_a_file_that_is_not_there_is_begun(tmp_path)
    assert len(list(tmp_path.iterdir())) == 2


def test_a_finished_flow_stays_as_it_is(tmp_path):
    whole = pf.solve(*problem(), 1.0, frames=2, file=tmp_path / "run.h5")
    again = pf.solve(*problem(), 1.0, frames=2, file=tmp_path / "run.h5", resume=True)
    np.testing.assert_array_equal(again.observables["energy"], whole.observables["energy"])
    assert (again.status, again.steps) == (whole.status, whole.steps)


@pytest.mark.parametrize("frames", [1, 5, [0.5, 1.0, 1.5, 2.0]])
def test_a_flow_may_go_further(frames, tmp_path):
    """Up to the old end the frames are those that were planned; beyond, the last one is at the new end."""
    first = [0.5, 1.0] if isinstance(frames, list) else frames
    short = pf.solve(*problem(), 1.0, frames=first, file=tmp_path / "run.h5")
    long = pf.solve(*problem(), 2.0, frames=frames, file=tmp_path / "run.h5", resume=True)
    times = long.observables["time"]
    np.testing.assert_array_equal(times[: len(short.observables["time"])], short.observables["time"])
    assert times[-1] == 2.0
    assert (np.diff(times) > 0).all()
    direct = pf.solve(*problem(), 2.0, frames=times[1:])  # the same stops, so the same steps
    np.testing.assert_array_equal(direct.measure.particles, long.measure.particles)
    np.testing.assert_array_equal(direct.observables["balance"], long.observables["balance"])
    with pf.open(tmp_path / "run.h5") as file:
        assert file.t_end == 2.0
        assert file.config["flow"]["t_end"] == 2.0


def test_fixed_steps_go_further_on_their_grid_only(tmp_path):
    settings = {"method": "euler", "step": 0.1, "frames": 3}
    pf.solve(*problem(), 0.3, **settings, file=tmp_path / "run.h5")
    long = pf.solve(*problem(), 1.0, **settings, file=tmp_path / "run.h5", resume=True)
    assert long.steps == 10
    pf.solve(*problem(), 0.35, **settings, file=tmp_path / "off.h5")
    with pytest.raises(pf.InvalidInput, match="no multiple of the step"):
        pf.solve(*problem(), 1.0, **settings, file=tmp_path / "off.h5", resume=True)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"t_end": 0.5}, "flow.t_end = 0.5"),
        ({"rtol": 1e-3}, "differs in flow.rtol"),
        ({"method": "bs23"}, "differs in flow.method"),
        ({"seed": 4}, "differs in seed"),
        ({"measure": pf.sphere(8, 2, rng=2)}, "differs in the initial particles"),
        ({"energy": problem(strength=0.1)[0]}, "differs in energy.strength"),
        (
            {"energy": pf.EmpiricalEnergy(pf.TwoLayer("relu"), ([[1.0, 1.0]], [1.0]), strength=1e-2)},
            "differs in the data",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_another_flow_is_refused_and_nothing_changes(change, words, tmp_path):
    energy, measure = problem()
    arguments = {"energy": energy, "measure": measure, "t_end": 1.0, "frames": 2, "seed": 3}
    path = tmp_path / "run.h5"
    pf.solve(**arguments, file=path)
    before = path.read_bytes()
    with pytest.raises(pf.InvalidInput, match=words):
        pf.solve(**arguments | change, file=path, resume=True)
    assert path.read_bytes() == before


# --- runs of configurations -------------------------------------------------------------------------------------------

CONFIG = """
seed = 2
[data]
file = "data.csv"
target = "y"
bias = true
test_fraction = 0.25
[model]
particles = 20
[energy]
strength = 1e-2
[flow]
t_end = 5.0
frames = 8
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = np.random.default_rng(0).normal(size=(20, 2)).tolist()
    (tmp_path / "data.csv").write_text("x,y\n" + "\n".join(f"{x},{y}" for x, y in rows))
    (tmp_path / "run.toml").write_text(CONFIG)
    return tmp_path


def command(*arguments):
    code = "import sys; from particleflow.cli import main; sys.exit(main())"
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, encoding="utf-8", timeout=300, check=False
    )


def test_a_killed_run_is_resumed_from_its_file_alone(folder):
    """SIGKILL inside the run, three times; the data file is gone by then."""
    assert command("run", "run.toml", "-o", "whole.h5").returncode == 0
    killed = """
import os, signal, sys
import particleflow as pf
from particleflow import config

class Kill(pf.Observer):
    def __init__(self):
        self.steps = 0
    def watch(self, state):
        self.steps += 1
        if self.steps == 25:
            os.kill(os.getpid(), signal.SIGKILL)

original = config.solve
config.solve = lambda *args, observers=(), **options: original(*args, observers=[*observers, Kill()], **options)
if sys.argv[1] == "run":
    pf.load_config("run.toml").run("parts.h5")
else:
    pf.resume("parts.h5")
"""
    for verb in ("run", "resume"):
        done = subprocess.run([sys.executable, "-c", killed, verb], timeout=300, check=False)
        assert done.returncode == -signal.SIGKILL
    (folder / "data.csv").unlink()
    done = command("resume", "parts.h5")
    assert (done.returncode, done.stderr) == (0, "")
    assert "finished" in done.stdout
    assert_same("parts.h5", "whole.h5")


def test_resume_goes_further(folder, capsys):
    from particleflow.cli import main

    assert main(["run", "run.toml", "-o", "run.h5"]) == 0
    assert main(["resume", "run.h5", "--t-end", "8"]) == 0
    with pf.open("run.h5") as file:
        assert (file.time[-1], file.config["flow"]["t_end"]) == (8.0, 8.0)
    capsys.readouterr()
    for arguments, words in (
        ([], "is finished, at t = 8"),
        (["--t-end", "7"], "flow.t_end = 7"),
        (["--t-end", "nan"], "flow.t_end = nan"),
        (["--steps", "70"], "flow.steps = 70 does not apply"),
    ):
        assert main(["resume", "run.h5", *arguments]) == 2
        error = capsys.readouterr().err
        assert words in error
        assert error.count("\n") == 1


def test_what_cannot_be_resumed(folder, capsys):
    from particleflow.cli import main

    pf.solve(*problem(), 1.0, frames=2, file="python.h5")
    with h5py.File("python.h5", "r+") as file:
        file.attrs["status"] = "interrupted"
    assert main(["resume", "python.h5"]) == 2
    assert "resume=True" in capsys.readouterr().err
    assert main(["run", "run.toml", "-o", "python.h5"]) == 2
    assert "particleflow resume" in capsys.readouterr().err
    assert main(["resume", "missing.h5"]) == 2
    assert "does not exist" in capsys.readouterr().err


def test_a_file_in_use_is_refused(folder):
    pf.load_config("run.toml").run("run.h5")
    holder = subprocess.Popen(
        [sys.executable, "-c", "import h5py; f = h5py.File('run.h5', 'r+'); print(flush=True); input()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with holder:
        holder.stdout.readline()
        done = command("resume", "run.h5", "--t-end", "9")
        holder.communicate(b"\n")
    assert done.returncode == 2
    assert "in use" in done.stderr


# --- a full disk ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("room", [100_000, 600_000])
def test_a_full_disk_stops_in_one_sentence_and_the_flow_goes_on_when_there_is_room(folder, room):
    limited = f"""
import resource, sys
from particleflow.cli import main
import particleflow.storage
resource.setrlimit(resource.RLIMIT_FSIZE, ({room}, resource.RLIM_INFINITY))
sys.exit(main(["run", "run.toml", "-o", "parts.h5", "--set", "model.particles=5000"]))
"""
    done = subprocess.run(
        [sys.executable, "-c", limited], capture_output=True, encoding="utf-8", timeout=300, check=False
    )
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "cannot take the frame" in done.stderr
    if room < 200_000:  # which not even the first frame fits in
        assert "begin it anew" in done.stderr
        again = ["run", "run.toml", "-o", "parts.h5", "--set", "model.particles=5000", "--overwrite"]
    else:
        with pf.open("parts.h5") as file:
            assert 1 <= len(file) < 9
        again = ["resume", "parts.h5"]
    assert command(*again).returncode == 0
    assert command("run", "run.toml", "-o", "whole.h5", "--set", "model.particles=5000").returncode == 0
    assert_same("parts.h5", "whole.h5")
