"""Every example runs as its docstring says, and shows what it claims."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import particleflow as pf
from particleflow.cli import main

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


def theory_and_particles(name, folder):
    """Run an example that draws one picture and return the numbers of each line before its path."""
    *lines, path = run(name, folder, folder).splitlines()
    assert Path(path) == folder / f"{name}.png"
    assert Path(path).read_bytes().startswith(b"\x89PNG")
    return [numbers(line.replace("W2", "")) for line in lines]


def test_population_limit(tmp_path):
    *data, first, second, third = theory_and_particles("population_limit", tmp_path)
    assert [line[0] for line in data] == [50, 200, 800]
    errors, distances = ([line[k] for line in data] for k in (1, -1))
    assert errors[0] > errors[1] > errors[2]
    slope = np.polyfit(np.log([50, 200, 800]), np.log(distances), 1)[0]
    assert slope == pytest.approx(-0.5, abs=0.1)
    for _, found, theory in (first, second, third):
        assert found == pytest.approx(theory, abs=0.06)


def test_log_gas(tmp_path):
    (begin, end, _), (moment,) = theory_and_particles("log_gas", tmp_path)
    assert begin > 1
    assert end < 2 * begin * np.exp(-6)  # the slowest mode, the mean, decays as e^(−λt)
    assert moment < 1e-10


def test_energy_distance(tmp_path):
    (error,), (_, distance), (*_, theory) = theory_and_particles("energy_distance", tmp_path)
    assert error < 1e-7
    assert distance == pytest.approx(theory, abs=2e-6)


def test_noisy_flow(tmp_path):
    five, twenty, (free, least) = theory_and_particles("noisy_flow", tmp_path)
    for m, measured, exact, at_rest in (five, twenty):
        assert measured == pytest.approx(exact, rel=0.05)
        assert at_rest == pytest.approx((1 - 1 / m) * 0.1 + 0.5 / m, abs=1e-4)
    assert free == pytest.approx(least, abs=0.03)


def test_annealing(tmp_path):
    (_, cold, rest), (_, warm, gibbs), (_, annealed, limit) = theory_and_particles("annealing", tmp_path)
    assert warm == pytest.approx(gibbs, abs=0.04)
    assert cold < 0.3 < 0.8 < annealed
    assert rest == limit > 0.99


def test_propagation_of_chaos(tmp_path):
    lines = run("propagation_of_chaos", tmp_path, tmp_path, "1").splitlines()
    slopes = {line.split(":")[0]: numbers(line.split(":")[1])[:4] for line in lines[:-1]}
    assert len(slopes) == 8
    for slope, _, low, high in slopes.values():
        assert low < slope < high
    assert slopes["W2 at t =   0"][0] == pytest.approx(-0.5, abs=0.1)
    assert slopes["energy distance at t =   5"][0] == pytest.approx(-0.5, abs=0.2)
    assert Path(lines[-1]).read_bytes().startswith(b"\x89PNG")


def test_mckean_vlasov(tmp_path):
    measured, exact, path = run("mckean_vlasov", tmp_path, tmp_path, "2").splitlines()
    prefactor, slope = numbers(measured)[:2]
    assert slope == pytest.approx(-1, abs=0.1)
    assert prefactor == pytest.approx(numbers(exact)[0], rel=0.1)
    assert Path(path).read_bytes().startswith(b"\x89PNG")


def test_log_gas_from_the_shell(tmp_path):
    assert main(["run", str(EXAMPLES / "log_gas.toml"), "-o", str(tmp_path / "run.h5")]) == 0
    with pf.open(tmp_path / "run.h5") as trajectory:
        zeros = np.polynomial.hermite.hermgauss(16)[0]
        assert np.abs(np.sort(trajectory.particles(-1)["x"][:, 0]) - zeros / 4).max() < 1e-6


def test_three_layers_from_the_shell(tmp_path):
    assert main(["run", str(EXAMPLES / "three_layer.toml"), "-o", str(tmp_path / "run.h5")]) == 0
    with pf.open(tmp_path / "run.h5") as trajectory:
        observables = trajectory.observables
        assert observables["test_error"][-1] < 0.2
        assert observables["synchronization"][-1] < 0.5 * observables["synchronization"][0]
        assert np.abs(observables["balance"]).max() < 1e-3 * observables["energy"][0]


def test_gallery_shows_pictures_that_examples_draw():
    docs = EXAMPLES.parent / "docs"
    pictures = re.findall(r"\]\((images/.*?)\)", (docs / "gallery.md").read_text(encoding="utf-8"))
    assert len(pictures) == 5
    for picture in map(Path, pictures):
        assert (docs / picture).stat().st_size < 120_000
        assert (EXAMPLES / picture.with_suffix(".py").name).is_file()


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
