"""Figures of a trajectory, ready for a paper: one function per figure, and `save_figures` for all that apply."""

from contextlib import suppress

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.colors import LogNorm, to_rgba

from particleflow.plot_style import (
    NEGATIVE,
    POSITIVE,
    NotApplicable,
    PaperFigure,
    check_formats,
    log_scale,
    plain,
    scale_masses,
    styled,
    time_label,
    write_figures,
)
from particleflow.plot_style import require as _require
from particleflow.plot_style import snapshots as _snapshots
from particleflow.point_figures import positions_figure

_PARTS = {
    "energy": (r"$\mathcal{L}[\mu_t]$", "-"),
    "risk": (r"risk $\mathbb{E}_\nu[\ell(f_{\mu_t}(x), y)]$", "--"),
    "field": (r"field $C - 2\int\,F\,d\mu_t$", "--"),
    "interaction": (r"interaction $\iint\,K\,d\mu_t\,d\mu_t$", "-."),
    "regularization": (r"regularization $\lambda\int\,V\,d\mu_t$", "-."),
    "synchronization": (r"synchronization $\gamma\,D(\mu_t)$", ":"),
}
_INVARIANTS = {
    "a2_minus_w2_drift": r"$a^2 - \|w\|^2$",
    "a2_minus_u2_drift": r"$a^2 - \|u\|^2$",
    "u2_minus_W2_drift": r"$u_k^2 - \|W_k\|^2$",
}
_WIDTH = 4.1  # inches
_MANY = 2000  # points from which they are drawn as an image inside a vector file
_PATHS, _PIECES = 300, 12  # paths drawn, and shades along each


# --- through time -----------------------------------------------------------------------------------------------------


@styled
def energy_figure(trajectory):
    """Draw the energy L[μ_t] and its parts against flow time, and the test error below if it was measured.

    The axes are logarithmic, which leaves out t = 0; an energy that is not positive has a linear one. Parts that vanish
    are left out. Parts with negative values, of an energy that is positive and falls to a tenth, have a linear panel of
    their own.

    Parameters
    ----------
    trajectory : Trajectory
        A stored flow.

    Returns
    -------
    PaperFigure

    Raises
    ------
    InvalidInput
        If the trajectory does not hold what is drawn. So do all the figures.
    """
    time, series = _positive_times(trajectory, "energy")
    shown = [name for name in _PARTS if name in series and (name == "energy" or np.any(series[name] != 0))]
    energy = series["energy"]
    apart = min(series[name].min() for name in shown) < 0 < energy.min() < 0.1 * energy.max()
    figure, (axes, *below) = _stack(1 + apart + ("test_error" in series))
    panels = [(axes, shown[:1]), (below.pop(0), shown[1:])] if apart else [(axes, shown)]
    for axes, names in panels:
        for name in names:
            label, dashes = _PARTS[name]
            axes.plot(time, series[name], dashes, label=label, color=f"C{shown.index(name)}")
        if len(names) < 4:
            axes.legend()
        else:  # no room for them between the curves
            figure.legend(loc="outside upper center", ncols=2)
        log_scale(axes, *(series[name] for name in names))
        axes.set_ylabel(r"energy $\mathcal{L}[\mu_t]$" if "energy" in names else "its parts")
    for axes in below:
        axes.plot(time, series["test_error"])
        axes.set_ylabel(r"test error $\|f_{\mu_t}\!-f^*\!\|^2 /\, \|f^*\!\|^2$")
        log_scale(axes, series["test_error"])
    return figure


@styled
def balance_figure(trajectory):
    """Draw the relative error of the energy balance against flow time, and the drift of the invariants below, if any.

    The exact flow has L[μ_t] + 2∫₀ᵗ∫|∇G|² dμ_s ds = L[μ_0]; what is left is the error of the integration.
    """
    time, series = _positive_times(trajectory, "energy", "balance")
    drifts = [name for name in series if name.endswith("_drift")]
    figure, (axes, *below) = _stack(1 + bool(drifts))
    error = np.abs(series["balance"]) / (abs(trajectory.observables["energy"][0]) or 1.0)
    axes.plot(time, error)
    start = r"\mathcal{L}[\mu_0]"
    axes.set_title(rf"$|\mathcal{{L}}[\mu_t] + 2\int_0^t\int\,|\nabla G|^2\,d\mu_s\,ds - {start}|\,/\,|{start}|$")
    axes.set_ylabel("error of the energy balance")
    log_scale(axes, error)
    for axes in below:
        for name in drifts:
            axes.plot(time, series[name], label=_INVARIANTS.get(name, name))
        axes.set_ylabel("largest drift of a particle")
        axes.legend()
        log_scale(axes, *(series[name] for name in drifts))
    return figure


@styled
def norms_figure(trajectory):
    """Draw how the norms of the particles are distributed at every time, with their medians.

    Two-layer particles show |a|‖w‖ and ‖w‖, others the norm of each block.
    """
    frames = np.flatnonzero(trajectory.time > 0)
    _require(len(frames) > 1, trajectory, "holds fewer than two frames after t = 0")
    norms = [_norms(trajectory.particles(frame)) for frame in frames]
    time = trajectory.time[frames]
    edges = np.concatenate([time[:1], np.sqrt(time[1:] * time[:-1]), time[-1:]])
    figure, panels = _stack(len(norms[0]), height=1.7)
    shades = {"cmap": "Blues", "norm": LogNorm(0.5 / trajectory.m, 1), "rasterized": True}
    for axes, label in zip(panels, norms[0], strict=True):
        values = np.array([at[label] for at in norms])
        bins = np.histogram_bin_edges(values, 60)
        shares = np.array([np.histogram(row, bins)[0] for row in values]) / trajectory.m
        image = axes.pcolormesh(edges, bins, np.ma.masked_equal(shares.T, 0), **shades)
        axes.plot(time, np.median(values, axis=1), color=POSITIVE, label="median")
        axes.set_ylabel(label)
        axes.set_xscale("log")
    panels[0].legend(loc="upper left")
    figure.colorbar(image, ax=panels, label="share of the particles", aspect=30)
    return figure


# --- particles in the plane -------------------------------------------------------------------------------------------


@styled
def particles_figure(trajectory):
    """Draw the particles, direction of w ∈ R² against signed mass a‖w‖, at the start, twice on the way and at the end.

    On the way the energy has fallen by about one and two thirds.
    """
    require_plane(trajectory)
    frames = _snapshots(trajectory, 4)
    rows, columns = (2, 2) if len(frames) == 4 else (1, len(frames))
    figure = PaperFigure(figsize=(5.1, 0.4 + 1.9 * rows))
    panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    for axes, frame in zip(panels.flat, frames, strict=True):
        draw_particles(axes, trajectory.particles(frame))
        axes.set_title(time_label(trajectory.time[frame]))
        axes.label_outer()
    scale_masses(panels.flat[0], np.hstack(signed_masses(trajectory.particles(-1)))[1])
    return figure


@styled
def paths_figure(trajectory):
    """Draw the paths of the particles in the plane of w ∈ R², darker as time passes.

    Of more than 300 particles, 300 are drawn, always the same.
    """
    require_plane(trajectory)
    _require(len(trajectory) > 1, trajectory, "holds a single frame")
    m, steps = trajectory.m, np.arange(len(trajectory) - 1)
    chosen = np.sort(np.random.default_rng(0).choice(m, min(m, _PATHS), replace=False))
    clouds = np.array([trajectory.particles(frame).particles[chosen] for frame in range(len(trajectory))])
    a, w = clouds[..., 0], clouds[..., 1:]
    segments, colors = [], []
    for piece in np.array_split(steps, min(_PIECES, len(steps))):
        end = piece[-1] + 1
        segments.extend(w[piece[0] : end + 1].swapaxes(0, 1))
        colors.extend(to_rgba(color, 0.1 + 0.65 * end / len(steps)) for color in _colors(a[end]))
    width, height = np.ptp(w.reshape(-1, 2), axis=0)
    figure = PaperFigure(figsize=(_WIDTH, 0.8 + 0.8 * _WIDTH * np.clip(height / (width or 1.0), 0.3, 1.3)))
    axes = figure.add_subplot(aspect="equal")
    axes.add_collection(LineCollection(segments, colors=colors, linewidths=0.7))
    axes.scatter(*w[0].T, s=6, facecolors="white", edgecolors=_colors(a[0]), linewidths=0.6, zorder=3)
    axes.scatter(*w[-1].T, s=8, c=_colors(a[-1]), linewidths=0, zorder=4)
    axes.autoscale_view()
    for color, label in ((POSITIVE, "$a > 0$"), (NEGATIVE, "$a < 0$")):
        axes.plot([], [], color=color, label=label)
    for color, label in (("white", "start"), ("black", "end")):
        axes.plot([], [], "o", ms=3, mew=0.6, mec="black", mfc=color, label=label)
    figure.legend(loc="outside upper center", ncols=4, columnspacing=1.2)
    names = [""] * 2 if trajectory.data is None else [f" ({plain(name)})" for name in trajectory.data.features]
    axes.set(xlabel=f"$w_1${names[0]}", ylabel=f"$w_2${names[1]}")
    return figure


def draw_particles(axes, measure):
    """Draw particles with w ∈ R² and return the two `Line2D` that carry those with a ≥ 0 and those with a < 0."""
    lines = []
    for points, color in zip(signed_masses(measure), (POSITIVE, NEGATIVE), strict=True):
        many = measure.m > _MANY
        lines += axes.plot(*points, "o", color=color, ms=3, mew=0, alpha=0.5, rasterized=many)
    axes.axhline(0, color="0.6", lw=0.5, zorder=0)
    axes.set_xlim(-1.05 * np.pi, 1.05 * np.pi)
    axes.set_xticks(np.pi * np.arange(-1, 1.5, 0.5), [r"$-\pi$", r"$-\pi/2$", "$0$", r"$\pi/2$", r"$\pi$"])
    axes.set(xlabel=r"direction $\arg w$", ylabel=r"signed mass $a\,\|w\|$")
    return lines


def signed_masses(measure):
    """Return (directions of w, signed masses a‖w‖) of the particles with a ≥ 0, and of those with a < 0."""
    a, w = measure["a"], measure["w"]
    plane = np.array([np.arctan2(w[:, 1], w[:, 0]), a * np.linalg.norm(w, axis=1)])
    return plane[:, a >= 0], plane[:, a < 0]


def require_plane(trajectory):
    """Raise `NotApplicable` unless the particles are those of a two-layer network with w ∈ R²."""
    layout = trajectory.layout
    _require(layout.names == ("a", "w"), trajectory, "does not hold the particles of a two-layer network")
    _require(layout.size == 3, trajectory, f"has w in R^{layout.size - 1}: the plane needs d = 2 (a bias counts)")


# --- the fitted function ----------------------------------------------------------------------------------------------


class Fit:
    """What a network with one input feature fits, in the units of the user; `x` covers the range of the data.

    Raises `NotApplicable` if the trajectory does not hold data with one feature, or which model it belongs to.
    """

    def __init__(self, trajectory):
        data = trajectory.data
        _require(data is not None, trajectory, "does not hold its data")
        count = data.d - data.bias
        _require(count == 1, trajectory, f"has {count} input features: the fitted function can be drawn for one")
        _require(trajectory.model is not None, trajectory, "does not say which model it belongs to")
        self.data, self.model = data, trajectory.model
        inputs = np.concatenate([data.X[:, 0], data.X_test[:, 0]])
        self._X = self._with_bias(np.linspace(inputs.min(), inputs.max(), 801))
        self.x = data.inputs_in_units(self._X)[:, 0]

    def curve(self, measure):
        """Return f_μ(x)."""
        return self.data.targets_in_units(self.model.predict(measure.particles, self._X))

    def kinks(self, measure):
        """Return where relu(⟨w, (x, 1)⟩) bends, x = −w_2/w_1, within the data, and the signed masses a‖w‖ there.

        Other models do not bend.
        """
        if self.model.kind != "two-layer" or self.model.activation.name != "relu":
            return np.empty(0), np.empty(0)
        bent = measure["w"][:, 0] != 0
        a, w = measure["a"][bent], measure["w"][bent]
        with np.errstate(over="ignore"):  # w almost along the bias: a kink at infinity
            zeros = -w[:, 1] / w[:, 0] if self.data.bias else np.zeros(len(w))
        x = self.data.inputs_in_units(self._with_bias(zeros))[:, 0]
        within = (x >= self.x[0]) & (x <= self.x[-1])
        return x[within], (a * np.linalg.norm(w, axis=1))[within]

    def draw_data(self, axes):
        """Draw the training and test points and name the axes."""
        data = self.data
        sets = [(data.X, data.y, "training data", "0.55"), (data.X_test, data.y_test, "test data", "white")]
        for X, y, label, face in sets[: 1 + (data.n_test > 0)]:
            look = {"ms": 2.8, "mew": 0.6, "mfc": face, "mec": "0.5", "rasterized": len(y) > _MANY}
            axes.plot(data.inputs_in_units(X)[:, 0], data.targets_in_units(y), "o", label=label, **look)
        axes.set(xlabel=f"{plain(data.features[0])}, $x$", ylabel=f"{plain(data.target)}, $f_{{\\mu_t}}(x)$")

    def _with_bias(self, x):
        return np.column_stack([x, np.ones(len(x))]) if self.data.bias else x[:, None]


@styled
def fit_figure(trajectory):
    """Draw the fitted function over the data at the start, half-way down and at the end; for relu, its kinks below.

    A particle bends f_μ where ⟨w, (x, 1)⟩ = 0; its line there is as long as its signed mass a‖w‖.
    """
    fit, frames = Fit(trajectory), _snapshots(trajectory, 3)
    x, mass = fit.kinks(trajectory.particles(-1))
    figure = PaperFigure(figsize=(_WIDTH, 4.0 if len(x) else 3.2))
    panels = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1]) if len(x) else [figure.subplots()]
    fit.draw_data(panels[0])
    for frame in frames:
        end = frame == frames[-1]
        look = {"color": "black" if end else "#56B4E9", "ls": "-" if end or frame else ":"}
        panels[0].plot(fit.x, fit.curve(trajectory.particles(frame)), label=time_label(trajectory.time[frame]), **look)
    figure.legend(loc="outside upper center", ncols=3)
    for rug in panels[1:]:
        rug.vlines(x, 0, mass, colors=_colors(mass), lw=1, alpha=0.5, rasterized=len(x) > _MANY)
        rug.axhline(0, color="0.6", lw=0.5, zorder=0)
        rug.set(xlabel=panels[0].get_xlabel(), ylabel=r"kinks, $a\,\|w\|$")
        scale_masses(rug, mass)
        panels[0].label_outer()
    return figure


# --- all of them ------------------------------------------------------------------------------------------------------

FIGURES = {
    "energy": energy_figure,
    "balance": balance_figure,
    "particles": particles_figure,
    "paths": paths_figure,
    "fit": fit_figure,
    "norms": norms_figure,
    "positions": positions_figure,
}


def save_figures(trajectory, directory, *, formats=("png",)):
    """Write every figure that applies as ``<run>-<figure>.<format>``, for example ``diabetes-energy.png``.

    Parameters
    ----------
    trajectory : Trajectory
        A stored flow.
    directory : str or Path
        Where to write; created if it does not exist. Files of these names are replaced.
    formats : sequence of str
        "png", "pdf" or "svg".

    Returns
    -------
    list of Path
        The files written.

    Raises
    ------
    InvalidInput
        If a format is unknown or the directory cannot be written to.
    """
    check_formats(formats)
    made = {}
    for name, draw in FIGURES.items():
        with suppress(NotApplicable):
            made[f"{trajectory.path.stem}-{name}"] = draw(trajectory)
    return write_figures(made, directory, formats)


# --- helpers ----------------------------------------------------------------------------------------------------------


def _positive_times(trajectory, *names):
    """Return the times > 0 of the observables and the observables there, if those named are among them."""
    series = trajectory.observables
    _require(series.keys() >= {"time", *names}, trajectory, f"does not hold the observables {', '.join(names)}")
    late = series["time"] > 0
    _require(late.any(), trajectory, "holds nothing after t = 0")
    return series["time"][late], {name: values[late] for name, values in series.items() if name != "time"}


def _stack(count, height=1.9):
    """Return a figure of `count` panels over a common axis of flow time, and the panels."""
    figure = PaperFigure(figsize=(_WIDTH, 0.5 + height * count))
    panels = figure.subplots(count, 1, sharex=True, squeeze=False)[:, 0]
    panels[-1].set_xlabel("flow time $t$")
    return figure, panels


def _norms(measure):
    blocks = {name: measure[name].reshape(measure.m, -1) for name in measure.layout.names}
    norms = {name: np.linalg.norm(block, axis=1) for name, block in blocks.items()}
    if tuple(norms) == ("a", "w"):
        return {r"$|a|\,\|w\|$": norms["a"] * norms["w"], r"$\|w\|$": norms["w"]}
    return {rf"$\|{name}\|$": values for name, values in norms.items()}


def _colors(signed):
    return np.where(np.asarray(signed) >= 0, POSITIVE, NEGATIVE)
