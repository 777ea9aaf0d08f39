"""Figures of particles that are points on a line, in the plane or on a torus."""

import numpy as np
from matplotlib.collections import LineCollection

from particleflow.built_in_kernels import PAIR_KERNELS
from particleflow.plot_style import PaperFigure, require, snapshots, styled, time_label

_PATHS = 300  # paths drawn
_MANY = 2000  # points from which they are drawn as an image inside a vector file
_COLOR = "#0072B2"


@styled
def positions_figure(trajectory):
    """Draw where the particles are: their paths against flow time (d = 1), or the cloud at three times (d = 2).

    On the line the final density stands beside the paths; of more than 300, 300 are drawn, always the same. In the
    plane the cloud is drawn at the start, half-way down in energy and at the end. On a torus positions are modulo its
    period.

    Parameters
    ----------
    trajectory : Trajectory
        A stored flow.

    Returns
    -------
    PaperFigure

    Raises
    ------
    NotApplicable
        If the particles are not points in one or two dimensions.
    """
    layout = trajectory.layout
    require(layout.names in (("x",), ("r", "x")), trajectory, "does not hold particles that are points in space")
    d = trajectory.particles(-1)["x"].shape[1]
    require(d <= 2, trajectory, f"has particles in R^{d}: positions can be drawn for one or two")
    return _paths(trajectory) if d == 1 else _clouds(trajectory)


def _paths(trajectory):
    frames = np.flatnonzero(trajectory.time > 0)
    require(len(frames) > 1, trajectory, "holds fewer than two frames after t = 0")
    period, end = _period(trajectory), trajectory.particles(-1)["x"][:, 0]
    chosen = np.sort(np.random.default_rng(0).choice(len(end), min(len(end), _PATHS), replace=False))
    paths = np.array([trajectory.particles(frame)["x"][chosen, 0] for frame in frames]).T
    figure = PaperFigure(figsize=(4.6, 2.9))
    axes, side = figure.subplots(1, 2, sharey=True, width_ratios=[4, 1])
    lines = [np.column_stack([trajectory.time[frames], path]) for path in _sheets(paths, period)]
    axes.add_collection(LineCollection(lines, colors=_COLOR, linewidths=0.6, alpha=0.5))
    axes.set(xscale="log", xlim=trajectory.time[frames[[0, -1]]], xlabel="flow time $t$", ylabel="position $x_i$")
    if period is None:
        margin = 0.05 * (np.ptp(paths) or 1.0)
        axes.set_ylim(paths.min() - margin, paths.max() + margin)
    else:
        end = np.mod(end, period)
        _name_the_period(axes.yaxis, period)
        axes.set_ylim(0, period)
    bins = int(np.clip(2 * len(end) ** 0.5, 20, 60))  # of the whole panel: a cloud that has collapsed fills one
    masses = trajectory.particles(-1)["r"] ** 2 if "r" in trajectory.layout.names else None
    bars = {"range": axes.get_ylim(), "weights": masses, "density": True, "orientation": "horizontal"}
    side.hist(end, bins, **bars, color=_COLOR, alpha=0.5)
    rug = side.get_yaxis_transform()
    side.plot(np.full(len(chosen), 0.02), end[chosen], "_", transform=rug, color="black", ms=4, mew=0.4)
    side.set(title=time_label(trajectory.time[-1]), xlabel="density")
    return figure


def _sheets(paths, period):
    """Return paths (k, T) on the line; on a torus each one as often as it meets [0, period], moved by whole periods."""
    if period is None:
        return list(paths)
    sheets = np.floor(paths / period)
    return [
        path - sheet * period
        for path, low, high in zip(paths, sheets.min(axis=1), sheets.max(axis=1), strict=True)
        for sheet in np.arange(low, high + 1)
    ]


def _clouds(trajectory):
    frames, period = snapshots(trajectory, 3), _period(trajectory)
    figure = PaperFigure(figsize=(0.6 + 2.1 * len(frames), 2.6))
    panels = figure.subplots(1, len(frames), sharex=True, sharey=True, squeeze=False)[0]
    many = trajectory.m > _MANY
    for axes, frame in zip(panels, frames, strict=True):
        x = trajectory.particles(frame)["x"]
        x = x if period is None else np.mod(x, period)
        axes.plot(*x.T, "o", color=_COLOR, ms=1.5 if many else 3, mew=0, alpha=0.5, rasterized=many)
        axes.set(title=time_label(trajectory.time[frame]), xlabel="$x_1$", ylabel="$x_2$", aspect="equal")
        if period is not None:
            axes.set(xlim=(0, period), ylim=(0, period))
            axes.spines[:].set_visible(True)  # the fundamental cell
            _name_the_period(axes.xaxis, period)
            _name_the_period(axes.yaxis, period)
        axes.label_outer()
    return figure


def _name_the_period(axis, period):
    """Put ticks at the quarters of a period of 2π, as multiples of π."""
    if np.isclose(period, 2 * np.pi):
        axis.set_ticks(period * np.arange(5) / 4, ["$0$", r"$\pi/2$", r"$\pi$", r"$3\pi/2$", r"$2\pi$"])


def _period(trajectory):
    """Return the period of the particles, or None: a file tells it by its kernel."""
    energy = trajectory.config.get("energy", {})
    if trajectory.layout.period is not None:
        return trajectory.layout.period
    entry = PAIR_KERNELS.get(energy.get("kernel"))
    return energy.get("period") if entry is None else entry.period
