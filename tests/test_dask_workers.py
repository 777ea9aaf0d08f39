"""Sweeps on a real Dask scheduler with two workers, one of which is killed: the bits of local processes."""

import signal
import subprocess
import sys
import time
from contextlib import ExitStack

import pytest
from test_sweeps import BASE, assert_same_files, frames, outcomes

import particleflow as pf
from particleflow.cli import main

distributed = pytest.importorskip("distributed")


@pytest.fixture
def cluster(tmp_path):
    """A scheduler and two workers; its address and the processes of the workers."""
    place = tmp_path / "scheduler.json"
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": tmp_path}
    with ExitStack() as stack:

        def start(program, *arguments):
            command = [
                sys.executable,
                "-m",
                f"distributed.cli.dask_{program}",
                "--scheduler-file",
                str(place),
                *arguments,
            ]
            process = stack.enter_context(subprocess.Popen(command, **quiet))
            stack.callback(process.kill)
            return process

        start("scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--no-show", "--no-jupyter")
        workers = [start("worker", "--nthreads", "1", "--no-nanny", "--no-dashboard") for _ in range(2)]
        with distributed.Client(scheduler_file=str(place), timeout=60, set_as_default=False) as client:
            client.wait_for_workers(2, timeout=60)
            address = client.scheduler.address
        yield address, workers


def test_a_cluster_gives_the_bits_of_local_processes_whatever_is_killed(cluster, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sweep.toml").write_text(BASE.format(t_end=1.0, step=4e-4))
    local = pf.run_sweep("sweep.toml", "local", workers=1)
    address, workers = cluster
    command = [sys.executable, "-m", "particleflow.cli", "sweep", "sweep.toml", "-o", "dask", "--scheduler", address]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as sweep:
        deadline = time.monotonic() + 60
        while len([count for count in frames(tmp_path / "dask").values() if count > 3]) < 2:  # both are at work
            assert time.monotonic() < deadline
            time.sleep(0.01)
        workers[0].send_signal(signal.SIGKILL)
        out, err = sweep.communicate(timeout=60)
    assert (sweep.returncode, out) == (0, "dask: 4 runs: 4 finished\n"), err
    found = pf.Sweep("dask")
    assert outcomes(found) == outcomes(local)
    assert_same_files(found, local)


def test_what_is_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("particleflow.dask_workers._PATIENCE", 0.2)
    (tmp_path / "sweep.toml").write_text(BASE.format(t_end=1.0, step=0.02))
    assert main(["sweep", "sweep.toml", "--scheduler", "tcp://127.0.0.1:9"]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert "scheduler = 'tcp://127.0.0.1:9' cannot be reached" in err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["sweep.toml"]
