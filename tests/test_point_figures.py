"""Figures and summaries of particles on the line, in the plane and on a torus."""

from types import SimpleNamespace

import numpy as np
import pytest
from numba import njit

import particleflow as pf
from particleflow import plot_style, plotting
from particleflow.point_figures import positions_figure
from particleflow.summary import summarize, to_text


@njit
def no_field(x, parameters, gradient):
    gradient[:] = 0.0
    return 0.0


@njit
def waves(x, y, parameters, gradient):
    value = 0.0
    for k in range(x.size):
        gradient[k] = 2 * np.pi * np.sin(2 * np.pi * (x[k] - y[k]))
        value -= np.cos(2 * np.pi * (x[k] - y[k]))
    return value


CASES = {
    "line": (pf.log_gas(0.8, 0.6), 1, 3.0),
    "circle": (pf.kuramoto(1.0), 1, 10.0),
    "plane": (pf.newtonian(3.0, 0.5), 2, 3.0),
    "torus": (pf.PairKernel(no_field, waves, period=1.0), 2, 0.3),
    "space": (pf.quadratic_aggregation(1.0), 3, 1.0),
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder, trajectories = tmp_path_factory.mktemp("points"), {}
    for name, (kernel, d, t_end) in CASES.items():
        energy = pf.KernelEnergy(kernel, d)
        start = pf.gaussian(30, energy.layout, radius=3.0, rng=0)
        pf.solve(energy, start, t_end, rtol=1e-4, frames=12, file=folder / f"{name}.h5")
        trajectories[name] = pf.open(folder / f"{name}.h5")
    yield trajectories
    for trajectory in trajectories.values():
        trajectory.close()


@pytest.fixture(autouse=True)
def small_pictures(monkeypatch):
    monkeypatch.setitem(plot_style.STYLE, "savefig.dpi", 40)


@pytest.mark.parametrize("name", CASES)
def test_every_figure_that_applies_is_written(runs, name, tmp_path):
    written = {path.stem.removeprefix(f"{name}-") for path in plotting.save_figures(runs[name], tmp_path)}
    assert written == {"energy", "balance", "norms"} | (set() if name == "space" else {"positions"})


def test_paths_on_the_line(runs):
    run = runs["line"]
    axes, side = positions_figure(run).axes
    segments = axes.collections[0].get_segments()
    assert len(segments) == run.m
    for i, segment in enumerate(segments):
        np.testing.assert_array_equal(segment[:, 0], run.time[1:])
        assert (segment[0, 1], segment[-1, 1]) == (run.particles(1)["x"][i, 0], run.particles(-1)["x"][i, 0])
    shares = [bar.get_width() * bar.get_height() for bar in side.patches]
    assert sum(shares) == pytest.approx(1)
    np.testing.assert_array_equal(side.lines[0].get_ydata(), run.particles(-1)["x"][:, 0])


def test_paths_on_the_circle_are_whole_and_modulo_the_period(runs):
    run, period = runs["circle"], 2 * np.pi
    axes, side = positions_figure(run).axes
    assert axes.get_ylim() == (0, period)
    paths = np.array([run.particles(frame)["x"][:, 0] for frame in range(1, len(run))]).T
    crossings = np.ptp(np.floor(paths / period), axis=1)
    segments = axes.collections[0].get_segments()
    assert crossings.sum() > 0
    assert len(segments) == run.m + crossings.sum()
    for segment in segments:  # no path jumps
        shift = segment[:, 1] - paths
        assert np.abs(shift - period * np.rint(shift[:, :1] / period)).max(axis=1).min() < 1e-12
    np.testing.assert_array_equal(side.lines[0].get_ydata(), np.mod(run.particles(-1)["x"][:, 0], period))


@pytest.mark.parametrize("name", ["plane", "torus"])
def test_clouds_in_the_plane(runs, name):
    run = runs[name]
    panels = positions_figure(run).axes
    frames = plot_style.snapshots(run, 3)
    assert len(panels) == len(frames)
    for axes, frame in zip(panels, frames, strict=True):
        x = run.particles(frame)["x"]
        np.testing.assert_array_equal(np.array(axes.lines[0].get_data()).T, np.mod(x, 1.0) if name == "torus" else x)
        assert axes.get_aspect() == 1
        assert axes.get_title() == plot_style.time_label(run.time[frame])
    assert (panels[0].get_xlim() == (0, 1)) == (name == "torus")


def test_positions_are_drawn_in_one_and_two_dimensions_only(runs):
    with pytest.raises(plotting.NotApplicable, match=r"^'space\.h5' has particles in R\^3: positions can be drawn"):
        positions_figure(runs["space"])
    network = SimpleNamespace(path=runs["space"].path, layout=pf.sphere(2, 1, rng=0).layout)
    with pytest.raises(plotting.NotApplicable, match="does not hold particles that are points"):
        positions_figure(network)


def test_summaries(runs):
    text = to_text(summarize(runs["torus"]))
    assert "30 particles in dimension 2" in text
    assert "field no_field, interaction waves, parameters ()" in text
    assert "log-gas kernel, repulsion 0.8, confinement 0.6" in to_text(summarize(runs["line"]))
