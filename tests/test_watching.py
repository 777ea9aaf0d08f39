"""The live view: a flow that is under way, one that has ended, one whose process is gone."""

import io
import os
import subprocess
import sys
import time
from pathlib import Path

import h5py
import pytest

import particleflow as pf
from particleflow.cli import main
from particleflow.watching import watch


@pytest.fixture
def stored(tmp_path):
    path = tmp_path / "run.h5"
    energy = pf.EmpiricalEnergy(pf.TwoLayer("tanh"), ([[1.0], [2.0]], [1.0, -1.0]))
    pf.solve(energy, pf.sphere(5, 1, rng=3), 1.0, method="euler", step=0.1, frames=2, file=path)
    return path


def test_a_flow_that_has_ended_is_told_once(stored, capsys):
    assert main(["watch", str(stored)]) == 0
    first, last = capsys.readouterr().out.splitlines()
    assert first.startswith("100 %, t = 1, L = ")
    assert last == "finished: reached t = 1"


def test_a_process_that_is_gone(stored):
    with h5py.File(stored, "r+") as file:
        file.attrs["status"] = "running"
    out = io.StringIO()
    assert watch(stored, out=out) == "running"
    assert "its process is gone; go on with: particleflow resume" in out.getvalue()


def test_files_that_are_none(tmp_path, capsys):
    assert main(["watch", str(tmp_path / "missing.h5")]) == 2
    assert "does not exist" in capsys.readouterr().err


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_flow_under_way(tmp_path):
    code = """
import time
from pathlib import Path
import numpy as np
import particleflow as pf
from test_storage import Field

class Slow(pf.Observer):
    def record(self, state, observables):
        time.sleep(0.1)

field = Field(Path("nowhere"))
start = pf.EmpiricalMeasure(np.zeros((3, 1)), field.layout)
times = [0.1 * k for k in range(1, 11)]
pf.solve(field, start, 1.0, method="euler", step=0.1, frames=times, observers=[Slow()], file="run.h5")
"""
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent)}
    with subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path, env=environment) as process:
        while not (tmp_path / "run.h5").exists():
            time.sleep(0.01)
        out = Terminal()
        assert watch(tmp_path / "run.h5", out=out, pause=0.02) == "finished"
    assert process.returncode == 0
    lines = out.getvalue().split("\r\x1b[K")
    assert len(lines) > 5
    assert "s left" in lines[-2]
    assert lines[-1].endswith("\nfinished: reached t = 1\n")
