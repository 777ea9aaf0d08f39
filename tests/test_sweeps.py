"""Sweeps carried out on this machine: the bits of single runs, whatever is killed meanwhile."""

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

import particleflow as pf
from particleflow.cli import main
from particleflow.local_workers import ATTEMPTS, LocalWorkers
from particleflow.sweep_runs import row_of

BASE = """\
[model]
kind = "particles"

[energy]
kernel = "quadratic"
parameters = {{ attraction = 1.0, confinement = 0.5 }}

[flow]
t_end = {t_end}
method = "langevin"
step = {step}
temperature = 0.5
frames = 40

[sweep]
"model.particles" = [3, 5]
seed = [0, 1]
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with a sweep of four short runs, the current one."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sweep.toml").write_text(BASE.format(t_end=1.0, step=0.02))
    return tmp_path


def outcomes(sweep):
    """Return what must not depend on what happened on the way: all but the clocks."""
    clocks = ("seconds", "created", "file")
    return [{key: value for key, value in row.items() if key not in clocks} for row in sweep.to_dict()]


def stamps(sweep):
    return [path.stat().st_mtime_ns for path in sweep.paths]


def assert_same_files(sweep, other):
    for path, twin in zip(sweep.paths, other.paths, strict=True):
        with pf.open(path) as one, pf.open(twin) as two:
            np.testing.assert_array_equal(one.time, two.time)
            np.testing.assert_array_equal(one.particles(-1).particles, two.particles(-1).particles)
            for name, values in one.observables.items():
                np.testing.assert_array_equal(values, two.observables[name])


def test_a_sweep_is_its_runs_and_is_run_once(folder):
    sweep = pf.run_sweep("sweep.toml", workers=1)
    assert (sweep.folder.name, len(sweep), sweep.done.all()) == ("sweep", 4, True)
    for number, run in enumerate(pf.load_sweep("sweep.toml").runs):
        alone = run.config.run()
        with sweep.open(number) as trajectory:
            np.testing.assert_array_equal(trajectory.particles(-1).particles, alone.measure.particles)
        for name, values in alone.observables.items():
            if name != "time":
                assert sweep.values(name)[number] == values[-1]
    before, rows = stamps(sweep), outcomes(sweep)
    again = pf.run_sweep("sweep.toml", workers=1)
    assert (stamps(again), outcomes(again)) == (before, rows)
    sweep.paths[2].unlink()
    assert pf.Sweep("sweep").status == ["finished", "finished", "pending", "finished"]
    again = pf.run_sweep("sweep.toml", workers=1)
    assert [a == b for a, b in zip(stamps(again), before, strict=True)] == [True, True, False, True]
    assert outcomes(again) == rows


def test_a_sweep_may_grow(folder):
    small = pf.run_sweep("sweep.toml", workers=1)
    text = (folder / "sweep.toml").read_text()
    (folder / "more.toml").write_text(text.replace("seed = [0, 1]", "seed = [0, 1, 2]"))
    before = dict(zip(small.paths, stamps(small), strict=True))
    large = pf.run_sweep("more.toml", "sweep", workers=1)
    assert (len(large), large.done.all()) == (6, True)
    assert before.items() <= dict(zip(large.paths, stamps(large), strict=True)).items()


def test_a_failed_run_is_a_row_and_runs_again(folder, capsys):
    text = BASE.format(t_end=1.0, step=0.02).replace(
        "[0, 1]", "[0]\nenergy.parameters.confinement = [0.5, -1e5, -1e300]"
    )
    (folder / "sweep.toml").write_text(text)
    assert main(["sweep", "sweep.toml", "-o", "out", "--workers", "1"]) == 1
    sweep = pf.Sweep("out")
    assert sweep.status == 2 * ["finished", "diverged", "failed"]
    assert "led to NaN or infinity" in sweep.message[1]
    assert "the initial measure is NaN or infinite" in sweep.message[2]
    assert len(sweep.troubles()) == 4
    out = capsys.readouterr().out
    assert "6 runs: 2 finished, 2 diverged, 2 failed" in out
    assert "model.particles = 3, seed = 0, energy.parameters.confinement = -1e+300: failed" in out
    damaged = sweep.paths[sweep.status.index("finished")]
    damaged.write_bytes(b"no trajectory")
    assert main(["sweep", "sweep.toml", "-o", "out", "--workers", "1"]) == 1
    assert pf.Sweep("out").status == ["failed", "diverged", "failed", "finished", "diverged", "failed"]
    assert "cannot be opened" in capsys.readouterr().out
    assert damaged.read_bytes() == b"no trajectory"


@pytest.fixture
def slow(folder):
    """The same folder with slower runs, and what an undisturbed sweep makes of them."""
    (folder / "sweep.toml").write_text(BASE.format(t_end=1.0, step=4e-4))
    return pf.run_sweep("sweep.toml", "whole", workers=2)


def frames(folder):
    """Return how many frames each of the runs under way has stored."""
    found = {}
    for path in folder.glob("runs/*.h5"):
        with suppress(pf.TrajectoryError, OSError), pf.open(path) as trajectory:
            if trajectory.status == "running":
                found[path] = len(trajectory)
    return found


def wait_for_frames(folder):
    """Wait until a run that is under way has stored a few frames more."""
    before, deadline = frames(folder), time.monotonic() + 60
    while not any(count > before.get(path, 0) + 5 for path, count in frames(folder).items()):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def start_sweep(*arguments):
    command = [sys.executable, "-m", "particleflow.cli", "sweep", "sweep.toml", "-o", "killed", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def workers_of(process):
    listed = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(process.pid)], capture_output=True, text=True, check=False
    )
    return [int(pid) for pid in listed.stdout.split()]


def test_whatever_is_killed_the_sweep_ends_as_if_nothing_had_happened(slow, folder, capsys):
    killed = folder / "killed"
    sweep = start_sweep("--workers", "2")
    wait_for_frames(killed)
    os.kill(workers_of(sweep)[0], signal.SIGKILL)  # the run goes on in another process
    time.sleep(0.3)
    orphans = workers_of(sweep)
    sweep.kill()
    sweep.communicate()
    deadline = time.monotonic() + 10
    while any(map(alive, orphans)):  # workers do not outlive the sweep
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert not pf.Sweep(killed).done.all()
    sweep = start_sweep("--workers", "2")
    wait_for_frames(killed)
    assert main(["sweep", "sweep.toml", "-o", "killed"]) == 2  # two at once would run everything twice
    assert "in use" in capsys.readouterr().err
    sweep.send_signal(signal.SIGINT)
    _, err = sweep.communicate(timeout=60)
    assert sweep.returncode == 130
    assert "interrupted; the same command goes on" in err
    assert "Traceback" not in err
    assert "interrupted" in {row["status"] for row in pf.Sweep(killed).to_dict()}
    assert main(["sweep", "sweep.toml", "-o", "killed"]) == 0
    ended = pf.Sweep(killed)
    assert outcomes(ended) == outcomes(slow)
    assert_same_files(ended, slow)
    assert {path.suffix for path in killed.rglob("*") if path.is_file()} == {".h5"}


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    with Path(f"/proc/{pid}/stat").open() as file:
        return file.read().rpartition(")")[2].split()[0] != "Z"


def test_a_worker_that_always_dies_costs_its_run_only(folder):
    runs = pf.load_sweep("sweep.toml").runs[:2]
    tasks = {
        number: {"config": run.text, "folder": str(folder), "file": str(folder / run.file_name), "size": run.size}
        for number, run in enumerate(runs)
    }
    with LocalWorkers(1) as workers:
        processes = set()

        def kill():
            while len(processes) < ATTEMPTS:
                if (process := workers._processes[0]) not in processes and process.poll() is None and workers._held:
                    processes.add(process)
                    process.kill()
                time.sleep(0.001)

        thread = threading.Thread(target=kill)
        thread.start()
        rows = dict(workers.rows({0: tasks[0]}))
        thread.join()
        rows |= dict(workers.rows({1: tasks[1]}))
    assert {number: row["status"] for number, row in rows.items()} == {0: "failed", 1: "finished"}
    assert "signal 9, 3 times" in rows[0]["message"]
    assert rows[1] == row_of(tasks[1]["file"])


# --- what is refused --------------------------------------------------------------------------------------------------


def contents(folder):
    return {path: path.read_bytes() if path.is_file() else None for path in sorted(folder.rglob("*"))}


REFUSED = {
    "unknown key": ({'"model.particles"': '"model.neurons"'}, [], "model.neurons is unknown"),
    "empty list": ({"[0, 1]": "[]"}, [], 'sweep."seed" = []'),
    "lengths": ({"[0, 1]": '[0, 1, 2]\ncombine = "zipped"'}, [], "differ in length"),
    "other base": ({"t_end = 1.0": "t_end = 2.0"}, [], "differs in flow.t_end"),
    "folder is a file": ({}, ["-o", "sweep.toml"], "is a file"),
    "folder in a file": ({}, ["-o", "sweep.toml/out"], "cannot be written to"),
    "folder in /proc": ({}, ["-o", "/proc/out"], "cannot be written to"),
    "folder of others": ({}, ["-o", "foreign"], "holds index.h5 or runs that are no sweep's"),
    "no processes": ({}, ["--workers", "-1"], "workers = -1"),
    "no scheduler": ({}, ["--scheduler", "nonsense://x"], "cannot be reached"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_bad_input_is_one_sentence_and_changes_nothing(case, folder, capsys):
    if case == "no scheduler":
        pytest.importorskip("distributed")
    changes, arguments, reason = REFUSED[case]
    (folder / "foreign" / "runs").mkdir(parents=True)
    if case == "other base":
        pf.run_sweep("sweep.toml", workers=1)
    text = (folder / "sweep.toml").read_text()
    for old, new in changes.items():
        text = text.replace(old, new)
    (folder / "sweep.toml").write_text(text)
    before = contents(folder)
    assert main(["sweep", "sweep.toml", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("particleflow: error: ")
    assert err.count("\n") == 1
    assert reason in err
    assert contents(folder) == before


@pytest.mark.parametrize("command", ["summarize", "report"])
def test_a_folder_without_a_sweep(command, folder, capsys):
    options = ["-o", "page.html"] if command == "report" else []
    assert main([command, str(folder), *options]) == 2
    assert "holds no sweep" in capsys.readouterr().err
