"""Every example runs as its docstring says, and shows what it claims."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"


def run(name, folder, *arguments):
    command = [sys.executable, EXAMPLES / f"{name}.py", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout


def numbers(text):
    return [float(number) for number in re.findall(r"-?\d+\.?\d*(?:e-?\d+)?", text)]


def test_regression_1d(tmp_path):
    output = run("regression_1d", tmp_path, tmp_path)
    assert "finished at t = 200" in output
    test_error, balance = numbers(output.splitlines()[2])
    assert test_error < 0.5
    assert balance < 1e-3
    assert len(list(tmp_path.glob("*.png"))) == 6
    assert (tmp_path / "regression_1d.h5").is_file()


def test_regression_diabetes(tmp_path):
    linear, flow, _ = numbers(run("regression_diabetes", tmp_path).splitlines()[1])
    assert flow < 1.1 * linear


def test_teacher_student(tmp_path):
    error, mass = run("teacher_student", tmp_path).splitlines()
    assert numbers(error)[-1] < 1e-3
    assert numbers(mass)[-1] > 80


def test_bad_start(tmp_path):
    good, half, signed = (numbers(line)[-1] for line in run("bad_start", tmp_path, tmp_path).splitlines()[:3])
    assert good < half < signed
    assert (tmp_path / "bad_start.png").read_bytes().startswith(b"\x89PNG")


def test_three_layer(tmp_path):
    free, soft, hard = (numbers(line) for line in run("three_layer", tmp_path, tmp_path).splitlines()[:3])
    for before, after in (free[:2], soft[:2], hard[:2]):
        assert after < 0.1 * before
    assert hard[1] < free[1]
    assert soft[3] < 0.2 * free[3]
    assert (tmp_path / "three_layer.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.name)
def test_examples_are_short(path):
    assert len(path.read_text().splitlines()) < 60
