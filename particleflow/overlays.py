"""Figures of several stored flows at once."""

from particleflow.plot_style import PaperFigure, log_scale, plain, require, styled
from particleflow.plotting import Fit

_SIZE = (4.1, 3.0)


@styled
def energies_figure(trajectories):
    """Draw the energies L[μ_t] of several flows against flow time, on logarithmic axes where they can be.

    Raises `NotApplicable` if one of them holds no energy after t = 0.
    """
    figure, drawn = PaperFigure(figsize=_SIZE), []
    axes = figure.subplots()
    for number, trajectory in enumerate(trajectories):
        series = trajectory.observables
        late = series["time"] > 0
        require("energy" in series and late.any(), trajectory, "holds no energy after t = 0")
        drawn.append(series["energy"][late])
        axes.plot(series["time"][late], drawn[-1], **_look(number, trajectory))
    axes.set(xlabel="flow time $t$", ylabel=r"energy $\mathcal{L}[\mu_t]$")
    log_scale(axes, *drawn)
    figure.legend(loc="outside upper center", ncols=2)
    return figure


@styled
def functions_figure(trajectories):
    """Draw the final functions of several flows with one input feature, over the data of the first.

    Raises `NotApplicable` if one of them has no such function, or their features differ.
    """
    fits = [Fit(trajectory) for trajectory in trajectories]
    figure = PaperFigure(figsize=_SIZE)
    axes = figure.subplots()
    fits[0].draw_data(axes)
    for number, (fit, trajectory) in enumerate(zip(fits, trajectories, strict=True)):
        require(fit.data.features == fits[0].data.features, trajectory, "has another feature than the first")
        axes.plot(fit.x, fit.curve(trajectory.particles(-1)), **_look(number, trajectory))
    figure.legend(loc="outside upper center", ncols=2)
    return figure


def _look(number, trajectory):
    dashes = ("-", "--", "-.", ":")[number % 4]  # curves that lie on each other can be told apart
    return {"label": plain(trajectory.path.stem), "color": f"C{number % 5}", "ls": dashes}


OVERLAYS = {"energies": energies_figure, "functions": functions_figure}
