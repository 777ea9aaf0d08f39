"""The programs in the documentation run as they stand, and do what the text around them says."""

import re
import runpy
from pathlib import Path

import numpy as np
import pytest

import particleflow as pf
from particleflow.cli import main
from validation import choosing

DOCS = Path(__file__).parent.parent / "docs"


def run(page, folder, monkeypatch):
    """Run all Python of a page, one block after the other, in a folder; return its names."""
    monkeypatch.chdir(folder)
    blocks = re.findall(r"^```python\n(.*?)^```$", (DOCS / page).read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    program = folder / "page.py"  # a file: Numba caches what lies in one
    program.write_text("\n".join(blocks), encoding="utf-8")
    return runpy.run_path(str(program))


def test_kernels(tmp_path, monkeypatch):
    names = run("kernels.md", tmp_path, monkeypatch)
    assert names["result"].status == "finished"
    assert (tmp_path / "double_well.h5").is_file()
    assert abs(np.exp(2j * names["aligned"]["x"]).mean()) > 0.99


@pytest.fixture(scope="module")
def extending(tmp_path_factory):
    folder = tmp_path_factory.mktemp("extending")
    with pytest.MonkeyPatch.context() as monkeypatch:
        return {**run("extending.md", folder, monkeypatch), "folder": folder}


def test_a_network_of_ones_own_is_the_gradient_flow_of_its_energy(extending):
    energy, m = extending["energy"], 7
    theta = np.random.default_rng(1).normal(size=(m, 2))
    velocity, h = energy.velocity(theta), 1e-6
    for i, k in np.ndindex(m, 2):
        step = np.zeros_like(theta)
        step[i, k] = h
        slope = (energy.value(theta + step) - energy.value(theta - step)) / (2 * h)
        assert velocity[i, k] == pytest.approx(-0.5 * m * slope, abs=1e-8)


def test_its_flow_is_what_the_page_says(extending):
    with pf.open(extending["folder"] / "bumps.h5") as trajectory:
        energy = trajectory.observables["energy"]
        assert trajectory.status == "finished"
        assert energy[-1] < 0.1 * energy[0]
        assert np.abs(trajectory.observables["balance"]).max() < 1e-7


def test_the_command_line_knows_what_it_can_of_it(extending, capsys):
    path = str(extending["folder"] / "bumps.h5")
    assert main(["show", path]) == 0
    assert "bumps, 100 particles" in capsys.readouterr().out
    assert main(["report", path, "-o", str(extending["folder"] / "bumps.html")]) == 0
    assert main(["resume", path]) == 2
    result = pf.solve(extending["energy"], extending["start"], 60.0, file=path, resume=True)
    assert result.status == "finished"


def test_an_observer_of_ones_own_records_and_stops(extending):
    result, start = extending["result"], extending["start"]
    assert result.status == "budget"
    assert "a particle has come 2." in result.message
    assert result.observables["travelled"][0] == 0
    assert result.observables["travelled"][-1] == pytest.approx(pf.w2(result.measure, start))


def test_the_table_of_methods_has_a_row_for_each():
    rows = list(choosing.rows("erf", t_end=0.1))
    assert [row[0] for row in rows] == [method for method, _ in choosing.WAYS]
    error = {(row[0], row[1]): float(row[4]) for row in rows}
    assert error["dopri5", "rtol = 1e-08"] < 1e-6
    assert error["rk4", "step = 0.02"] < error["heun", "step = 0.02"] < error["euler", "step = 0.02"]
