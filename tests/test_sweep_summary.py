"""What is read from a stored sweep: the index, curves over seeds, power laws, distances to the widest run, the page."""

import json

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import particleflow as pf
from particleflow.cli import main
from particleflow.sweep_index import Index
from particleflow.sweep_runs import failure, row_of

SEEDS, WIDTHS, STRENGTHS = range(20), (50, 100, 200, 400), (1e-3, 1e-2)


def made_up(folder, rows, parameters):
    """Write the index of a sweep of which there are no trajectories."""
    (folder / "runs").mkdir()
    index = Index(folder, "[sweep]\nseed = [0]\n", parameters, [f"{k}.h5" for k in range(len(rows))])
    for number, row in enumerate(rows):
        index.set(number, row)
    index.write()
    return pf.Sweep(folder)


@pytest.fixture
def laws(tmp_path):
    """A sweep with test_error = 3 m^(−1/2) e^ε at both strengths, and a gap of its own at each; one run has failed."""
    rng, rows, parameters = np.random.default_rng(0), [], []
    for m in WIDTHS:
        for strength in STRENGTHS:
            for seed in SEEDS:
                parameters.append({"model.particles": m, "energy.strength": strength, "seed": seed})
                observables = {"energy": 1.0, "test_error": 3 * m**-0.5 * np.exp(0.1 * rng.normal())}
                certificate = {
                    "gap": strength / m,
                    "relative_gap": strength / m,
                    "lower_bound": 1.0,
                    "verdict": "proof",
                }
                done = {"status": "finished", "message": "", "observables": observables, "certificate": certificate}
                rows.append({**failure(""), "seconds": 1.0, **done})
    rows[7] = failure("no luck")
    return made_up(tmp_path, rows, parameters)


def test_power_laws_are_those_that_were_put_in(laws):
    for law, strength in zip(laws.fits("test_error", "model.particles"), STRENGTHS, strict=True):
        used = [
            (p["parameters"]["model.particles"], p["observables"]["test_error"])
            for p in laws.to_dict()
            if p["status"] == "finished" and p["parameters"]["energy.strength"] == strength
        ]
        m, values = np.array(used).T
        slope, level = np.polyfit(np.log(m), np.log(values), 1)
        assert law.at == {"energy.strength": strength}
        assert (law.runs, law.exponent) == (len(used), pytest.approx(slope, rel=1e-9))
        assert law.prefactor == pytest.approx(np.exp(level), rel=1e-9)
        assert law.low < -0.5 < law.high
        assert law.high - law.low < 0.1
        assert law(100.0) == pytest.approx(np.exp(level) * 100**slope)
    first, second = laws.fits("gap", "model.particles")
    assert (first.exponent, first.prefactor) == pytest.approx((-1, 1e-3), rel=1e-9)
    assert second.prefactor == pytest.approx(1e-2, rel=1e-9)
    assert laws.fits("gap", "energy.strength") == []  # two places make no law
    assert laws.fits("gap", "model.particles", high=150) == []
    own = laws.fits(2 * laws.values("model.particles"), "model.particles")
    assert [law.exponent for law in own] == pytest.approx([1, 1])


def test_curves_are_medians_over_the_seeds(laws):
    curves = laws.curves("test_error", "model.particles")
    assert [curve.at for curve in curves] == [{"energy.strength": strength} for strength in STRENGTHS]
    errors = laws.values("test_error").reshape(len(WIDTHS), len(STRENGTHS), len(SEEDS))
    for k, curve in enumerate(curves):
        np.testing.assert_array_equal(curve.x, WIDTHS)
        np.testing.assert_allclose(curve.median, np.nanmedian(errors[:, k], axis=1))
        np.testing.assert_allclose(curve.low, np.nanquantile(errors[:, k], 0.16, axis=1))
        np.testing.assert_allclose(curve.high, np.nanquantile(errors[:, k], 0.84, axis=1))
    assert curves[0].count.tolist() == [19, 20, 20, 20]
    assert len(laws.curves("test_error", "energy.strength")) == len(WIDTHS)


def test_tables(laws):
    frame = laws.to_pandas()
    assert len(frame) == len(laws) == 160
    assert frame.groupby("model.particles")["seed"].nunique().tolist() == [20, 20, 20, 20]
    assert frame["status"].value_counts().to_dict() == {"finished": 159, "failed": 1}
    dataset = laws.to_xarray()
    assert dict(dataset.sizes) == {"model.particles": 4, "energy.strength": 2, "seed": 20}
    chosen = dataset["test_error"].sel({"model.particles": 200, "energy.strength": 1e-2, "seed": 3})
    assert float(chosen) == frame["test_error"][(frame["model.particles"] == 200) & (frame["seed"] == 3)].iloc[1]
    assert np.isnan(dataset["test_error"].values).sum() == 1


def test_what_there_is_none_of(laws):
    for call, reason in (
        (lambda: laws.values("loss"), "'loss' is unknown; valid: model.particles"),
        (lambda: laws.curves("energy", "flow.t_end"), "'flow.t_end' is not swept; valid: model.particles"),
        (lambda: laws.fits([1.0], "seed"), "one for each run"),
    ):
        with pytest.raises(pf.InvalidInput, match=reason):
            call()


def test_summary_figures_and_page(laws, tmp_path, capsys):
    out = tmp_path / "figures"
    assert main(["summarize", str(tmp_path), "-o", str(out)]) == 0
    text = capsys.readouterr().out
    assert "160: 159 finished, 1 failed" in text
    assert "model.particles = 50, energy.strength = 0.001, seed = 7: no luck" in text
    assert "gap ≈ 0.001 × model.particles^(-1.000) at energy.strength = 0.001" in text
    names = {
        f"{value}-{key}" for value in ("energy", "gap", "test_error") for key in ("model-particles", "energy-strength")
    }
    assert {path.stem for path in out.iterdir()} == names
    assert main(["summarize", str(tmp_path), "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["statuses"] == {"finished": 159, "failed": 1}
    assert {law["name"] for law in summary["power_laws"]} == {"gap", "test_error"}
    assert len(summary["rows"]) == 160
    assert main(["report", str(tmp_path), "-o", str(tmp_path / "page.html")]) == 0
    page = (tmp_path / "page.html").read_text()
    assert page.count("<svg") == len(names)
    assert "http" not in page.split("What to cite")[0].replace("http://www.w3.org", "")


SCALARS = st.one_of(
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False, allow_infinity=False),
    st.booleans(),
    st.text("ab", min_size=1),
)


@settings(max_examples=20)
@given(st.lists(st.one_of(SCALARS, st.lists(SCALARS, max_size=3)), min_size=1, max_size=4))
def test_the_index_keeps_every_value(tmp_path_factory, values):
    folder = tmp_path_factory.mktemp("index")
    rows = [{**failure("why"), "observables": {"energy": 0.1 * k}} for k in range(len(values))]
    index = Index(folder, "text", [{"flow.stop": value} for value in values], [f"{k}.h5" for k in range(len(values))])
    for number, row in enumerate(rows):
        index.set(number, row)
    index.write()
    again = Index.read(folder)
    assert [parameters["flow.stop"] for parameters in again.parameters] == values
    assert again.rows == rows


def test_an_index_that_is_none(tmp_path):
    with h5py.File(tmp_path / "index.h5", "w"):
        pass
    with pytest.raises(pf.InvalidInput, match="is not the index of a sweep"):
        pf.Sweep(tmp_path)
    (tmp_path / "index.h5").write_bytes(b"x")
    with pytest.raises(pf.TrajectoryError, match="damaged"):
        pf.Sweep(tmp_path)


def test_distances_to_the_widest_run_and_certificates(tmp_path):
    """The widest run is that of the same seed, whose data it shares."""
    (tmp_path / "runs").mkdir()
    text = "[data]\nsource = 'teacher'\nn = 6\nd = 2\n[energy]\nstrength = 0.1\n[flow]\nt_end = 0.5\nframes = 2\n"
    text += "[sweep]\n'model.particles' = [2, 4, 8]\nseed = [0, 1]\n"
    runs = pf.read_sweep(text).runs
    index = Index(tmp_path, text, [run.parameters for run in runs], [run.file_name for run in runs])
    results = {}
    for number, run in enumerate(runs):
        results[tuple(run.parameters.values())] = run.config.run(index.path(number)).measure
        index.set(number, row_of(index.path(number)))
    index.write()
    sweep = pf.Sweep(tmp_path)
    distances = dict(zip(results, sweep.w2_to_widest, strict=True))
    for (m, seed), measure in results.items():
        if m < 8:
            assert distances[m, seed] == pytest.approx(pf.w2(measure, results[8, seed]), rel=1e-12)
        else:
            assert np.isnan(distances[m, seed])
    with sweep.open(3) as trajectory:
        assert sweep.values("gap")[3] == pf.certify_frame(trajectory).gap
    assert {row["certificate"]["verdict"] for row in sweep.to_dict()} == {"proof"}
