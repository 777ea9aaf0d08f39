"""The figures 4 to 9 of the report, drawn anew, and the comparison on one teacher that it lacks."""

import io

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from validation.study.results import REPORT_LOSS, REPORT_ROWS
from validation.study.settings import COMPARED, MODES, PROBLEMS, TEXT_RATE

STYLE = {
    "font.family": ["STIXGeneral", "DejaVu Sans"],
    "mathtext.fontset": "stix",
    "font.size": 9,
    "axes.titlesize": 9,
    "legend.fontsize": 8,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "lines.linewidth": 1.4,
    "legend.frameon": False,
    "svg.hashsalt": "particleflow",
}
COLORS = {"free": "black", "hard": "#D55E00", "soft": "#0072B2"}
PANELS = {"listing": "Adam", "flow": "gradient flow"}
"""Titles short enough for a panel."""


def draw_all(results):
    """Return the figures as a dict of file name → (figure, caption)."""
    with matplotlib.rc_context(STYLE):
        figures = {}
        for problem in PROBLEMS.values():
            if problem.figure:
                text = f"{problem.title}: test error ‖f − f*‖²/‖f*‖²"
                figures[f"figure-{problem.figure}"] = error_figure(results, [problem.name]), text
        text = "Figures 7 and 8 and the unsynchronised model on one teacher, the hard one: test error"
        figures["figure-common"] = error_figure(results, ["hard", "soft", "free"]), text
        text = "Soft model: relative change of the usual loss ‖f − f*‖²/n and of the synchronisation term Σ W2²"
        figures["figure-9"] = decomposition_figure(results), text
        return figures


def encode(figure, kind):
    """Return a figure as bytes."""
    buffer = io.BytesIO()
    metadata = {"Date": None} if kind == "svg" else None
    with matplotlib.rc_context(STYLE):
        figure.savefig(buffer, format=kind, dpi=200, metadata=metadata)
    return buffer.getvalue()


def error_figure(results, problems):
    """Draw the test errors of problems along training, one panel per mode."""
    figure, panels = _panels()
    shown = [1.0]
    for axes, mode in zip(panels, COMPARED, strict=True):
        end = 0.0
        for name in problems:
            x, rows = results.series(name, mode, "test_error")
            label = {"free": "unsynchronised"}.get(name, name)
            color = COLORS[name] if len(problems) > 1 else "#0072B2"
            _band(axes, x, rows, color, label, "--" if name == "free" else "-")
            shown.append(rows)
            end = max(end, x[-1])
        _time_axis(axes, mode, x[1], end, results.plan)
        axes.axhline(1.0, color="0.75", lw=0.6, zorder=0)
    _error_axis(panels[0], 0.8 * min(map(np.min, shown)), 1.25 * max(map(np.max, shown)))
    if len(problems) > 1:
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=3)
    return figure


def decomposition_figure(results):
    """Draw figure 9: the changes of both terms of the soft model's energy."""
    figure, panels = _panels()
    series = (
        ("soft", "risk", "#0072B2", "-", "usual loss"),
        ("soft", "rows", "#D55E00", "-", "synchronisation"),
        ("free", "rows", "0.45", "--", "the same, not penalised"),
    )
    for axes, mode in zip(panels, COMPARED, strict=True):
        for problem, name, color, style, label in series:
            x, rows = results.change(problem, mode, name)
            _band(axes, x, rows, color, label, style)
        _time_axis(axes, mode, x[1], x[-1], results.plan)
        for value in (REPORT_ROWS, REPORT_LOSS):
            axes.axhline(value, color="0.75", lw=0.8, ls=":", zorder=0)
    panels[0].set_ylim(-103, None)
    panels[0].set_ylabel("change in %")
    panels[0].yaxis.set_major_formatter(lambda value, _: f"{value:.0f}".replace("-", "−"))
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, columnspacing=1.2, handlelength=1.6)
    return figure


def _panels():
    figure = Figure(figsize=(4.1, 2.5), layout="constrained", facecolor="white")
    return figure, figure.subplots(1, len(COMPARED), sharey=True)


def _band(axes, x, rows, color, label, style="-"):
    """Draw the median of the seeds, and all of them as a band."""
    axes.plot(x, np.median(rows, axis=0), style, color=color, label=label)
    if len(rows) > 1:
        axes.fill_between(x, rows.min(axis=0), rows.max(axis=0), color=color, alpha=0.15, lw=0)


def _time_axis(axes, mode, first, end, plan):
    """Make the horizontal axis: iterations, or flow time on a logarithmic scale that is linear up to `first`."""
    axes.set_title(PANELS[mode])
    if MODES[mode].axis == "iteration":
        axes.set_xlabel("iteration")
        axes.set_xticks([0, end / 2, end])
    else:
        worth, exponent = f"{plan.sizes.m / (2 * TEXT_RATE):.1e}".split("e")
        steps = rf"$t = 1$: ${worth}\times 10^{{{int(exponent)}}}$ steps of $\tau = 10^{{-5}}$"
        axes.set_xlabel(f"flow time $t$\n({steps})")
        axes.set_xscale("symlog", linthresh=first, linscale=0.3)
        decades = range(int(np.ceil(np.log10(first))), int(np.floor(np.log10(end))) + 1)
        axes.set_xticks([0, *(10.0**decade for decade in decades)])
        axes.minorticks_off()
    axes.set_xlim(0, end)


def _error_axis(axes, low, high):
    """Make a logarithmic axis from low to high, labelled 0.1, 0.2, 0.5, 1, 2, … rather than by powers."""
    axes.set_yscale("log")
    axes.set_ylim(low, high)
    for digits in ((1, 2, 5), (1, 3), (1,)):
        values = [digit * 10.0**decade for decade in range(-9, 9) for digit in digits]
        inside = [value for value in values if low <= value <= high]
        if len(inside) <= 6:
            break
    axes.set_yticks(inside, [f"{value:g}" for value in inside])
    axes.minorticks_off()
    axes.set_ylabel("test error")
