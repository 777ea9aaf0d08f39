"""The numerical study, at tiny sizes: its page is whole, it goes on where it was, and it trusts no damaged file."""

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import particleflow as pf
from validation.study.figures import draw_all
from validation.study.results import Results, plus_minus
from validation.study.settings import FULL, PROBLEMS, QUICK, Plan
from validation.study.store import compute, load, make
from validation.study.training import build_problem, follow, layer_scale, torch_start

ROOT = Path(__file__).parent.parent
FIGURES = {f"figure-{name}" for name in (4, 5, 6, 7, 8, 9, "common")}
RUN = Plan(QUICK, {"listing": 1, "flow": 1}).run("two", "listing", 0)


def study(folder):
    options = ["--quick", "--checks", "--processes", "1", "-o", folder]
    command = [sys.executable, "-m", "validation.numerical_study", *options]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    (folder / "output.txt").write_text(study(folder), encoding="utf-8")
    return folder


def test_the_page_is_whole_and_needs_no_network(folder):
    page = (folder / "index.html").read_text(encoding="utf-8")
    assert set(re.findall(r'<figure id="([^"]+)">', page)) == FIGURES
    sources = re.findall(r'(?:src|href)="([^"]{30})', page)
    assert len(sources) == len(FIGURES)
    assert all(source.startswith("data:image/svg+xml;base64,") for source in sources)
    assert not re.search(r"https?://|<script|@import|url\(", page)
    for figure in FIGURES:
        assert (folder / f"{figure}.png").read_bytes().startswith(b"\x89PNG")


def test_every_claim_has_a_verdict_in_every_mode(folder):
    page = (folder / "index.html").read_text(encoding="utf-8")
    assert len(re.findall(r'<b class="(?:yes|no)">(?:reproduces|does not reproduce)</b>', page)) == 8
    for claim in ("clearly effective", "clearly better", "performs like the unsynchronised", "−46 %"):
        assert claim in page
    output = (folder / "output.txt").read_text(encoding="utf-8")
    assert len(re.findall(r"^- (?:listing|flow): ", output, re.MULTILINE)) == 8
    for problem in PROBLEMS.values():
        assert f"| {problem.title} |" in output


def test_it_goes_on_where_it_was_and_computes_damaged_files_anew(folder):
    files = sorted(folder.glob("*.npz"))
    times = {path: path.stat().st_mtime_ns for path in files}
    first = {path: dict(np.load(path)) for path in files}
    trainings = [path for path in files if "test_error" in first[path]]
    cut, foreign, gone, other = trainings[::7][:4]
    cut.write_bytes(cut.read_bytes()[:200])
    foreign.write_bytes(other.read_bytes())  # a whole file, of another run
    gone.unlink()
    assert "44 runs, 41 of them stored" in study(folder)
    changed = {path for path in files if path.stat().st_mtime_ns != times[path]}
    assert changed == {cut, foreign, gone}
    for path in changed:
        with np.load(path) as again:
            for name in first[path].keys() - {"cpu"}:
                np.testing.assert_array_equal(again[name], first[path][name])
    assert "44 runs, 44 of them stored" in study(folder)


def test_two_processes_find_what_one_does(tmp_path, capsys):
    runs = [replace(RUN, seed=seed) for seed in (0, 1)]
    (tmp_path / "one").mkdir()
    one, two = (compute(path, runs, processes) for path, processes in ((tmp_path / "one", 1), (tmp_path, 2)))
    for run in runs:
        np.testing.assert_array_equal(one[run]["test_error"], two[run]["test_error"])
    assert capsys.readouterr().out.count("[2/2]") == 2


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: b"not an archive",
        lambda data: data[: len(data) // 2],
        lambda data: data[:-300] + bytes(byte ^ 255 for byte in data[-300:-250]) + data[-250:],
    ],
)
def test_damaged_files_are_not_read(tmp_path, damage):
    make(tmp_path, RUN)
    assert load(tmp_path, RUN)["test_error"].shape == load(tmp_path, RUN)["iteration"].shape
    path = tmp_path / RUN.file
    path.write_bytes(damage(path.read_bytes()))
    assert load(tmp_path, RUN) is None


@pytest.mark.parametrize("change", [{"seed": 1}, {"learning_rate": 2e-3}, {"steps": 13}, {"sizes": FULL}])
def test_results_of_other_settings_are_not_read(tmp_path, change):
    make(tmp_path, RUN)
    other = replace(RUN, **change)
    assert other.file != RUN.file
    (tmp_path / RUN.file).rename(tmp_path / other.file)
    assert load(tmp_path, other) is None


def test_values_that_are_not_finite_are_not_read(tmp_path):
    make(tmp_path, RUN)
    arrays = dict(np.load(tmp_path / RUN.file))
    arrays["test_error"][2] = np.nan
    np.savez(tmp_path / RUN.file, **arrays)
    assert load(tmp_path, RUN) is None


def test_models_with_one_teacher_share_its_data():
    plan = Plan(QUICK, {})
    hard, soft, free = (build_problem(plan.run(name, "listing", 4))[0] for name in ("hard", "soft", "free"))
    for other in (soft, free):
        np.testing.assert_array_equal(other.data.X, hard.data.X)
        np.testing.assert_array_equal(other.data.y_test, hard.data.y_test)
    assert soft.synchronization.strength > 0
    assert free.synchronization is None


def test_the_start_of_the_listing_is_that_of_its_layers():
    m, d, s = 50, 8, 4
    for model, inputs in (
        (pf.TwoLayer("relu"), {"a": m, "w": d}),
        (pf.ThreeLayer(s), {"a": m, "u": s, "W": d}),
        (pf.HardSynchronized(pf.exact_supports(m, s, rng=0)), {"a": m, "u": m, "W": d}),
    ):
        layout = model.layout(d)
        start, scale = torch_start(m, layout, np.random.default_rng(0)), layer_scale(m, layout)
        assert scale ** len(layout.blocks) == pytest.approx(m)
        for name, number in inputs.items():
            largest = np.abs(start[name]).max()
            assert 0.8 < largest / (scale / np.sqrt(number)) <= 1


def test_adam_does_not_see_the_scale_of_layers():
    """Σ_j a_j σ(⟨w_j, x⟩) under Adam, without the factor 1/m, is this network with scaled start and rate."""
    m, rate, steps = 6, 1e-2, 30
    data = pf.teacher_dataset(pf.TwoLayer("relu"), n=40, d=3, neurons=2, rng=0)[0]
    layout = pf.TwoLayer("relu").layout(3)
    start = torch_start(m, layout, np.random.default_rng(1))
    scale = layer_scale(m, layout)
    energy = pf.EmpiricalEnergy(pf.TwoLayer("relu"), data)
    flow = pf.solve(energy, start, method="adam", learning_rate=scale * rate, steps=steps)
    a, w = (np.array(start[name]) / scale for name in ("a", "w"))
    moments = [np.zeros((2, *array.shape)) for array in (a, w)]
    for step in range(1, steps + 1):
        z = data.X @ w.T
        r = 2 * (np.maximum(z, 0) @ a - data.y) / data.n
        gradients = np.maximum(z, 0).T @ r, a[:, None] * (((z > 0) * r[:, None]).T @ data.X)
        for array, (first, second), gradient in zip((a, w), moments, gradients, strict=True):
            first += 0.1 * (gradient - first)
            second += 0.001 * (gradient**2 - second)
            array -= rate * first / (1 - 0.9**step) / (np.sqrt(second / (1 - 0.999**step)) + 1e-8)
    for name, array in (("a", a), ("w", w)):  # but for Adam's ε, which does see it
        np.testing.assert_allclose(flow.measure[name] / scale, array, atol=2e-6)


def test_the_flow_takes_smaller_steps_where_the_energy_would_rise():
    energy, start = build_problem(replace(RUN, mode="flow", regularizer="path-norm"))
    result, step = follow(energy, start, 64.0, 30, [])
    assert 0 < step < 64.0
    assert result.t == pytest.approx(30 * step)
    assert (result.observables["energy"] <= 1.1 * np.minimum.accumulate(result.observables["energy"])).all()
    again, same = follow(energy, start, step, 30, [])
    assert same == step
    np.testing.assert_array_equal(again.measure.particles, result.measure.particles)


def test_verdicts_follow_from_the_numbers():
    plan = Plan(QUICK, {"listing": 2, "flow": 2})
    x = np.linspace(0, 1, 3)
    curves = {"hard": (1.0, 0.1), "soft": (1.0, 0.55), "free": (1.0, 0.5)}
    found = {}
    for run in plan.main_runs():
        error = np.linspace(*curves.get(run.problem, (1.0, 0.3)), 3)
        arrays = {"iteration": x, "time": x, "test_error": error, "risk": np.linspace(1.0, 0.15, 3), "target": 1.0}
        found[run] = {**arrays, "rows": np.linspace(2.0, 1.0, 3)}
    results = Results(plan, found)
    assert all(verdict.holds for verdict in results.verdicts())
    assert "ratio of the means is 0.20" in results.verdicts()[2].numbers
    assert set(draw_all(results)) == FIGURES
    for seed, error in ((0, 0.45), (1, 0.45)):
        found[plan.run("hard", "flow", seed)]["test_error"] = np.array([1.0, 0.5, error])
        found[plan.run("soft", "flow", seed)]["rows"] = np.array([2.0, 1.8, 1.7])
    phrases = ("it learns", "clearly better", "performs like", "about −46 %")
    failed = [(v.mode, *(p for p in phrases if p in v.claim)) for v in results.verdicts() if not v.holds]
    assert failed == [("flow", "clearly better"), ("flow", "about −46 %")]


def test_plus_minus():
    assert plus_minus(np.array([0.5])) == "0.500"
    assert plus_minus(np.array([-1.0, -3.0]), 1) == "−2.0 ± 1.4"
