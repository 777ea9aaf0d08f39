"""Figures and movies: that they show what the trajectory holds, not how they look."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgba
from PIL import Image

import particleflow as pf
from particleflow import plot_style, plotting
from particleflow.animation import animate

MAGIC = {"png": b"\x89PNG\r\n\x1a\n", "pdf": b"%PDF-", "svg": b"<?xml"}


def solved(path, X, y, *, activation="relu", bias=False, m=20, frames=8, strength=1e-3):
    names = {"features": [f"in${j}" for j in range(X.shape[1])], "target": "price_in_$"}
    options = {"standardize": True, "test_fraction": 0.25, "rng": np.random.default_rng(1)}
    data = pf.dataset_from_arrays(X, y, bias=bias, **names, **options)
    energy = pf.EmpiricalEnergy(pf.TwoLayer(activation), data, strength=strength)
    pf.solve(energy, pf.sphere(m, data.d, rng=0), 5.0, rtol=1e-3, frames=frames, file=path)
    return path


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Trajectories of the cases that differ, by name."""
    folder, rng = tmp_path_factory.mktemp("runs"), np.random.default_rng(0)
    x, X = rng.uniform(1950, 2000, (24, 1)), rng.standard_normal((24, 3))
    wave = 40 + 10 * np.sin(x[:, 0] / 5)
    paths = {
        "line": solved(folder / "line.h5", x, wave, bias=True),
        "smooth": solved(folder / "smooth.h5", x, wave, bias=True, activation="tanh", strength=0.0),
        "origin": solved(folder / "origin.h5", x, wave),
        "plane": solved(folder / "plane.h5", X[:, :2], X[:, 0] * X[:, 1]),
        "space": solved(folder / "space.h5", X, X[:, 0] * X[:, 1]),
        "crowd": solved(folder / "crowd.h5", x, wave, bias=True, m=400, frames=2),
    }
    trajectories = {name: pf.open(path) for name, path in paths.items()}
    yield trajectories
    for trajectory in trajectories.values():
        trajectory.close()


@pytest.fixture
def line(runs):
    return runs["line"]


@pytest.fixture(autouse=True)
def small_pictures(monkeypatch):
    monkeypatch.setitem(plot_style.STYLE, "savefig.dpi", 40)


def stems(paths, trajectory):
    return {path.stem.removeprefix(f"{trajectory.path.stem}-") for path in paths}


# --- which figures ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "missing"),
    [
        ("line", {"positions"}),
        ("smooth", {"positions"}),
        ("origin", {"positions", "particles", "paths"}),
        ("plane", {"positions", "fit"}),
        ("space", {"positions", "particles", "paths", "fit"}),
    ],
)
def test_every_figure_that_applies_is_written(runs, name, missing, tmp_path):
    written = plotting.save_figures(runs[name], tmp_path / "new" / "folder")
    assert stems(written, runs[name]) == set(plotting.FIGURES) - missing
    assert set(written) == set((tmp_path / "new" / "folder").iterdir())
    assert all(path.read_bytes().startswith(MAGIC["png"]) for path in written)


def test_formats_are_what_they_say_and_repeat_exactly(line, tmp_path, monkeypatch):
    monkeypatch.setattr(plotting, "FIGURES", {"balance": plotting.balance_figure, "fit": plotting.fit_figure})
    first = plotting.save_figures(line, tmp_path / "a", formats=("pdf", "svg"))
    second = plotting.save_figures(line, tmp_path / "b", formats=("pdf", "svg"))
    assert len(first) == 4
    for one, other in zip(first, second, strict=True):
        content = one.read_bytes()
        assert content.startswith(MAGIC[one.suffix[1:]])
        assert content == other.read_bytes()
        if one.suffix == ".pdf":
            assert b"/FontFile2" in content
            assert b"/Type3" not in content


def test_a_figure_saved_by_hand_embeds_its_fonts_too(line, tmp_path):
    plotting.energy_figure(line).savefig(tmp_path / "energy.pdf")
    assert b"/FontFile2" in (tmp_path / "energy.pdf").read_bytes()


def test_settings_of_matplotlib_stay_as_they_were(line, tmp_path, monkeypatch):
    monkeypatch.setattr(plotting, "FIGURES", {"energy": plotting.energy_figure})
    with mpl.rc_context({"font.size": 23.0, "lines.linewidth": 7.0}):
        before = dict(mpl.rcParams)
        figure = plotting.energy_figure(line)
        plotting.save_figures(line, tmp_path)
        assert dict(mpl.rcParams) == before
        assert figure.axes[0].yaxis.label.get_size() == plot_style.STYLE["font.size"]


def test_save_figures_refuses_what_it_cannot_do(line, tmp_path):
    with pytest.raises(pf.InvalidInput, match="'jpeg' is unknown; valid: png, pdf, svg"):
        plotting.save_figures(line, tmp_path / "none", formats=("png", "jpeg"))
    assert not (tmp_path / "none").exists()
    (tmp_path / "file").write_text("")
    with pytest.raises(pf.InvalidInput, match="cannot be written to"):
        plotting.save_figures(line, tmp_path / "file")


def test_nothing_half_written_stays(line, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(pf.InvalidInput, match="No space left on device"):
        plotting.save_figures(line, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_figure_that_does_not_apply_says_why(runs):
    for draw, name, reason in [
        (plotting.fit_figure, "plane", "has 2 input features"),
        (plotting.particles_figure, "space", r"has w in R\^3"),
        (plotting.paths_figure, "origin", r"has w in R\^1"),
    ]:
        with pytest.raises(pf.InvalidInput, match=reason):
            draw(runs[name])


def test_older_and_shorter_files_lack_figures_and_nothing_breaks():
    trajectory = SimpleNamespace(path=Path("old.h5"), observables={"time": np.arange(3.0), "energy": np.ones(3)})
    with pytest.raises(plotting.NotApplicable, match="does not hold the observables energy, balance"):
        plotting.balance_figure(trajectory)
    trajectory.observables = {"time": np.zeros(1), "energy": np.ones(1)}
    with pytest.raises(plotting.NotApplicable, match="holds nothing after t = 0"):
        plotting.energy_figure(trajectory)


# --- what they show ---------------------------------------------------------------------------------------------------


def test_energy_figure_holds_the_observables(line):
    upper, lower = plotting.energy_figure(line).axes
    late = line.observables["time"] > 0
    for curve, name in zip(upper.lines, ("energy", "risk", "regularization"), strict=True):
        np.testing.assert_array_equal(curve.get_xdata(), line.observables["time"][late])
        np.testing.assert_array_equal(curve.get_ydata(), line.observables[name][late])
    np.testing.assert_array_equal(lower.lines[0].get_ydata(), line.observables["test_error"][late])
    assert (upper.get_xscale(), upper.get_yscale(), lower.get_yscale()) == ("log", "log", "log")
    assert r"\mathcal{L}[\mu_t]" in upper.get_ylabel()
    assert "$t$" in lower.get_xlabel()
    assert "f^*" in lower.get_ylabel()


def test_parts_that_vanish_are_left_out(runs):
    upper = plotting.energy_figure(runs["smooth"]).axes[0]
    assert len(upper.lines) == 2


def test_an_energy_that_is_not_positive_has_a_linear_axis():
    time, energy = np.array([0.0, 1.0, 2.0]), np.array([1.0, 0.0, -3.0])
    parts = {"risk": energy - 1, "regularization": np.ones(3)}
    trajectory = SimpleNamespace(path=Path("kernel.h5"), observables={"time": time, "energy": energy, **parts})
    (axes,) = plotting.energy_figure(trajectory).axes
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "linear")
    np.testing.assert_array_equal(axes.lines[0].get_ydata(), energy[1:])


def test_negative_parts_of_an_energy_that_falls_by_orders_of_magnitude_stand_apart():
    time, energy = np.array([0.0, 1.0, 2.0]), np.array([2.0, 1.0, 1e-4])
    parts = {"field": energy - 0.5, "interaction": np.full(3, 0.5)}
    trajectory = SimpleNamespace(path=Path("mmd.h5"), observables={"time": time, "energy": energy, **parts})
    upper, lower = plotting.energy_figure(trajectory).axes
    assert (upper.get_yscale(), lower.get_yscale()) == ("log", "linear")
    np.testing.assert_array_equal(upper.lines[0].get_ydata(), energy[1:])
    for line, name in zip(lower.lines, parts, strict=True):
        np.testing.assert_array_equal(line.get_ydata(), parts[name][1:])
        assert name in line.get_label()


def test_balance_figure_holds_relative_error_and_drift(line):
    upper, lower = plotting.balance_figure(line).axes
    expected = np.abs(line.observables["balance"][1:]) / line.observables["energy"][0]
    np.testing.assert_allclose(upper.lines[0].get_ydata(), expected)
    np.testing.assert_array_equal(lower.lines[0].get_ydata(), line.observables["a2_minus_w2_drift"][1:])
    assert r"\nabla G" in upper.get_title()
    assert lower.get_legend().get_texts()[0].get_text() == r"$a^2 - \|w\|^2$"


def test_balance_figure_of_a_model_without_invariants_has_one_panel(runs):
    assert len(plotting.balance_figure(runs["smooth"]).axes) == 1


def test_particles_figure_shows_directions_and_signed_masses(line):
    figure = plotting.particles_figure(line)
    assert len(figure.axes) == len(plotting._snapshots(line, 4))
    for axes, frame in ((figure.axes[0], 0), (figure.axes[-1], -1)):
        measure = line.particles(frame)
        for points, sign in zip(axes.lines[:2], (1, -1), strict=True):
            a, w = (measure[block][sign * measure["a"] > 0] for block in ("a", "w"))
            np.testing.assert_allclose(points.get_xdata(), np.angle(w[:, 0] + 1j * w[:, 1]))
            np.testing.assert_allclose(points.get_ydata(), a * np.hypot(*w.T))
    assert figure.axes[0].get_title() == "$t = 0$"
    assert figure.axes[-1].get_title() == "$t = 5$"
    assert r"a\,\|w\|" in figure.axes[0].get_ylabel()
    assert r"\arg w" in figure.axes[-1].get_xlabel()


def test_snapshots_are_ordered_and_follow_the_energy(runs):
    line = runs["line"]
    energy = line.observables["energy"]
    first, middle, last = plotting._snapshots(line, 3)
    assert (first, last) == (0, len(line) - 1)
    distance = np.abs(energy - (energy[0] + energy[-1]) / 2)
    assert distance[middle] == distance.min()
    assert plotting._snapshots(runs["crowd"], 4) in ([0, 2], [0, 1, 2])


def test_a_short_run_has_fewer_panels(runs):
    titles = [axes.get_title() for axes in plotting.particles_figure(runs["crowd"]).axes]
    assert (titles[0], titles[-1]) == ("$t = 0$", "$t = 5$")
    assert len(titles) < 4


def test_paths_lead_from_the_start_to_the_end(line):
    (axes,) = plotting.paths_figure(line).axes
    (paths,) = (artist for artist in axes.collections if isinstance(artist, LineCollection))
    segments, colors = paths.get_segments(), paths.get_colors()
    start, end = line.particles(0), line.particles(-1)
    np.testing.assert_array_equal([segment[0] for segment in segments[: line.m]], start["w"])
    np.testing.assert_array_equal([segment[-1] for segment in segments[-line.m :]], end["w"])
    expected = [to_rgba(plotting.POSITIVE if a >= 0 else plotting.NEGATIVE) for a in end["a"]]
    np.testing.assert_array_equal(colors[-line.m :, :3], np.array(expected)[:, :3])
    assert (colors[: line.m, 3] < colors[-line.m :, 3]).all()
    assert axes.get_xlabel() == r"$w_1$ (in\$0)"
    assert axes.get_ylabel() == "$w_2$ (bias)"


def test_of_many_particles_the_same_300_are_drawn(runs):
    starts = []
    for _ in range(2):
        (axes,) = plotting.paths_figure(runs["crowd"]).axes
        segments = axes.collections[0].get_segments()
        assert len(segments) == 300 * (len(runs["crowd"]) - 1)
        starts.append({tuple(segment[0]) for segment in segments[:300]})
    assert starts[0] == starts[1]
    assert len(starts[0]) == 300
    assert starts[0] <= {tuple(w) for w in runs["crowd"].particles(0)["w"]}


def test_fit_figure_shows_predictions_in_the_units_of_the_user(line):
    axes = plotting.fit_figure(line).axes[0]
    data, (train, test, initial, _, final) = line.data, axes.lines
    x_user, y_user = data.X[:, 0] * data.x_scale + data.x_mean, data.y * data.y_scale + data.y_mean
    np.testing.assert_allclose(train.get_xdata(), x_user)
    np.testing.assert_allclose(train.get_ydata(), y_user)
    assert (len(test.get_xdata()), len(train.get_xdata())) == (6, 18)
    assert (final.get_xdata()[0], final.get_xdata()[-1]) == pytest.approx(
        (min(x_user.min(), test.get_xdata().min()), max(x_user.max(), test.get_xdata().max()))
    )
    for curve, frame in ((initial, 0), (final, -1)):
        X = np.column_stack([(curve.get_xdata() - data.x_mean) / data.x_scale, np.ones(len(curve.get_xdata()))])
        f = pf.TwoLayer("relu").predict(line.particles(frame).particles, X)
        np.testing.assert_allclose(curve.get_ydata(), f * data.y_scale + data.y_mean)
    assert r"price_in_\$" in axes.get_ylabel()
    assert r"f_{\mu_t}(x)" in axes.get_ylabel()


def test_kinks_are_where_the_closed_form_puts_them_and_the_curve_bends(line):
    upper, rug = plotting.fit_figure(line).axes
    data, measure = line.data, line.particles(-1)
    x = -measure["w"][:, 1] / measure["w"][:, 0] * data.x_scale[0] + data.x_mean[0]
    curve = upper.lines[-1]
    grid = curve.get_xdata()
    inside = (x >= grid[0]) & (x <= grid[-1])
    assert 0 < inside.sum() < line.m
    drawn = np.array(rug.collections[0].get_segments())
    np.testing.assert_allclose(drawn[:, :, 0], np.column_stack([x[inside]] * 2))
    np.testing.assert_allclose(drawn[:, 1, 1], (measure["a"] * np.linalg.norm(measure["w"], axis=1))[inside])
    np.testing.assert_array_equal(drawn[:, 0, 1], 0)
    bends = np.abs(np.diff(curve.get_ydata(), 2)) > 1e-9 * np.ptp(curve.get_ydata())
    distance = np.abs(grid[1:-1, None] - x[inside]).min(axis=1)
    assert bends.any()
    assert (distance[bends] <= (grid[1] - grid[0]) * 1.001).all()


def test_without_a_bias_every_kink_is_at_the_mean(runs):
    fit = plotting.Fit(runs["origin"])
    x, mass = fit.kinks(runs["origin"].particles(-1))
    np.testing.assert_allclose(x, runs["origin"].data.x_mean[0])
    assert len(mass) == runs["origin"].m


def test_a_smooth_activation_has_no_kinks(runs):
    assert len(plotting.fit_figure(runs["smooth"]).axes) == 1


def test_norms_figure_counts_every_particle_at_every_time(line):
    figure = plotting.norms_figure(line)
    masses, norms = figure.axes[:2]
    (shares,) = masses.collections
    np.testing.assert_allclose(shares.get_array().reshape(60, -1).sum(axis=0), 1.0)
    clouds = [line.particles(frame) for frame in range(1, len(line))]
    medians = [np.median(np.abs(cloud["a"]) * np.linalg.norm(cloud["w"], axis=1)) for cloud in clouds]
    np.testing.assert_allclose(masses.lines[0].get_ydata(), medians)
    np.testing.assert_allclose(masses.lines[0].get_xdata(), line.time[1:])
    assert masses.get_ylabel() == r"$|a|\,\|w\|$"
    assert norms.get_ylabel() == r"$\|w\|$"


@pytest.mark.parametrize(
    ("t", "label"),
    [(0.0, "$t = 0$"), (0.0312, "$t = 0.0312$"), (200.0, "$t = 200$"), (2e-5, r"$t = 2.0\times 10^{-5}$")],
)
def test_time_labels(t, label):
    assert plotting.time_label(t) == label


# --- movies -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "size"), [("line", (900, 400)), ("plane", (450, 400)), ("origin", (450, 400))])
def test_a_gif_has_every_frame(runs, name, size, tmp_path):
    path = animate(runs[name], tmp_path / "movie.gif", fps=10)
    assert path == tmp_path / "movie.gif"
    assert list(tmp_path.iterdir()) == [path]
    with Image.open(path) as movie:
        assert (movie.format, movie.size, movie.n_frames) == ("GIF", size, len(runs[name]))
        assert movie.info["duration"] == 100


def test_long_runs_are_thinned(runs, tmp_path, monkeypatch):
    monkeypatch.setattr("particleflow.animation._MOST_FRAMES", 3)
    with Image.open(animate(runs["plane"], tmp_path / "movie.gif")) as movie:
        assert movie.n_frames == 3


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="needs ffmpeg")
def test_an_mp4_is_one(runs, tmp_path):
    path = animate(runs["plane"], tmp_path / "movie.mp4")
    assert path.read_bytes()[4:8] == b"ftyp"


def test_animate_refuses_what_it_cannot_do(runs, line, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    for arguments, sentence in [
        ((runs["space"], tmp_path / "a.gif"), "neither one input feature nor two-layer particles with w in R²"),
        ((line, tmp_path / "a.avi"), "unknown suffix; valid: .gif, .mp4"),
        ((line, tmp_path / "a.mp4"), "needs ffmpeg, which is not on the PATH; install it or use .gif"),
        ((line, tmp_path / "none" / "a.gif"), "cannot be written: No such file or directory"),
    ]:
        with pytest.raises(pf.InvalidInput, match=sentence):
            animate(*arguments)
    with pytest.raises(pf.InvalidInput, match="fps = 0: valid are integers from 1 to 50"):
        animate(line, tmp_path / "a.gif", fps=0)
    assert list(tmp_path.iterdir()) == []
