"""Stored flows as one HTML page that stands on its own: problem, evidence, figures, and what to cite."""

from contextlib import suppress
from html import escape

import numpy as np

from particleflow.analysis import curve_length, transport_cost
from particleflow.bibliography import bibtex, citations
from particleflow.certificate import certify_frame
from particleflow.config import read_config
from particleflow.energy import EmpiricalEnergy
from particleflow.errors import InvalidInput, TransportFailed
from particleflow.formulas import problem
from particleflow.hypotheses import check_hypotheses
from particleflow.neurons import effective_neurons
from particleflow.overlays import OVERLAYS
from particleflow.player import SCRIPT, STYLE, player
from particleflow.plotting import FIGURES
from particleflow.summary import summarize, to_text
from particleflow.web_page import figure_row, html_file, html_page, write_html
from particleflow.wording import number

_STYLE = (
    STYLE
    + """.wide { overflow-x: auto; }
td.formula sub, td.formula sup { line-height: 0; }
h2 { border-top: 1px solid #111; padding-top: .8rem; font-size: 1.3rem; }
h3 { font-size: 1.05rem; margin: 1.6rem 0 .3rem; }
"""
)
_MOST_SECONDS = 60.0  # for the length of a curve
_HEAVY = ("paths",)  # as many numbers as the whole flow; the slider shows them


def write_report(trajectories, path):
    """Write stored flows as one HTML page that loads nothing from anywhere.

    For each flow: the problem in formulas, a time slider (one input feature, or particles in the plane), the figures of
    `particleflow.save_figures`, the certificate and the hypotheses of the convergence theorem where they apply, its
    length in Wasserstein space, what ``particleflow show`` says, the configuration, and BibTeX of what it rests on. For
    several flows also their energies and their final functions in one figure each.

    Parameters
    ----------
    trajectories : sequence of Trajectory
        One or more stored flows.
    path : str or Path
        The file to write, ``.html``; replaced if it exists.

    Returns
    -------
    Path

    Raises
    ------
    InvalidInput
        If there is no flow, the file does not end in .html, or cannot be written.
    """
    trajectories, path = list(trajectories), html_file(path, "report")
    if not trajectories:
        raise InvalidInput("a report needs at least one trajectory")
    names = [trajectory.path.stem for trajectory in trajectories]
    cited, parts = [], []
    if len(trajectories) > 1:
        parts.append(_together(trajectories))
    for index, trajectory in enumerate(trajectories):
        html, keys = _flow(trajectory, f"run{index}")
        parts.append(f"<h2>{escape(trajectory.path.name)}</h2>\n{html}" if len(trajectories) > 1 else html)
        cited += keys
    parts.append(f"<h2>What to cite</h2>\n<pre>{escape(bibtex(cited))}</pre>")
    if any('class="player"' in part for part in parts):
        parts.append(SCRIPT)
    return write_html(html_page(", ".join(names), "\n".join(parts), style=_STYLE), path, "report")


def _together(trajectories):
    """Return the figures that show several flows at once."""
    return figure_row({name: (lambda draw=draw: draw(trajectories)) for name, draw in OVERLAYS.items()}, "all")


def _flow(trajectory, mark):
    """Return the sections of one flow as HTML, and the keys of what it rests on."""
    certificate, certified = _certificate(trajectory)
    length, measured = _length(trajectory)
    draw = {name: (lambda figure=figure: figure(trajectory)) for name, figure in FIGURES.items() if name not in _HEAVY}
    config = trajectory.config_text
    versions = ", ".join(f"{name} {version}" for name, version in trajectory.versions.items())
    sections = [
        ("The problem", f'<div class="wide"><table>{_problem(trajectory)}</table></div>'),
        ("Through time", player(trajectory)),
        ("Figures", figure_row(draw, mark)),
        ("Is it the global minimum?", certificate),
        ("The convergence theorem", f'<div class="wide">{_hypotheses(trajectory)}</div>'),
        ("The curve in Wasserstein space", length),
        ("The run", f"<pre>{escape(to_text(summarize(trajectory)))}</pre>"),
        ("Made with", f"<p>{escape(versions)}; begun {escape(trajectory.created)}</p>"),
        ("The configuration", f"<pre>{escape(config)}</pre>"),
    ]
    html = "\n".join(f"<h3>{title}</h3>\n{body}" for title, body in sections if body)
    return html, citations(trajectory, certified=certified, measured=measured)


def _problem(trajectory):
    return "\n".join(
        f'<tr><td>{name}</td><td class="formula">{formula}</td></tr>' for name, formula in problem(trajectory)
    )


# --- the evidence -----------------------------------------------------------------------------------------------------


def _certificate(trajectory):
    """Return what is known of the global minimum as HTML, and whether a duality gap was computed."""
    try:
        return f"<pre>{escape(certify_frame(trajectory).to_text())}</pre>", True
    except InvalidInput as error:
        return f"<p>No certificate: {escape(str(error))}.</p>", False


def _hypotheses(trajectory):
    try:
        return check_hypotheses(_energy(trajectory), trajectory.particles(0))._repr_html_()
    except InvalidInput as error:
        return f"<p>Not checked: {escape(str(error))}.</p>"


def _energy(trajectory):
    """Return the energy of a stored flow; `InvalidInput` where the file does not tell it."""
    table = trajectory.config.get("energy", {})
    stored = trajectory.model is not None and trajectory.data is not None
    if stored and "synchronization" not in table:
        terms = {name: table[name] for name in ("loss", "regularizer", "strength") if name in table}
        return EmpiricalEnergy(trajectory.model, trajectory.data, **terms)
    config = read_config(trajectory.config_text)
    if config.data is not None and config.data.source == "file":
        if not stored:
            raise InvalidInput(f"{trajectory.path.name!r} does not hold its data")
        return config.build_energy(trajectory.data)
    return config.build()[0]


def _length(trajectory):
    """Return the length of the curve as HTML, and whether it was measured."""
    rows = []
    with suppress(InvalidInput):
        found = effective_neurons(trajectory.particles(-1), trajectory.model)
        how = "direction" if found.criterion == "direction" else "place"
        rows.append(
            (f"distinct particles at the end, by {how} to {found.tolerance:g}", f"{found.count} of {trajectory.m}")
        )
    seconds, _ = transport_cost(trajectory.m, count=len(trajectory))
    if seconds > _MOST_SECONDS and trajectory.layout.size > 1:
        return _table(rows) + f"<p>Its length is not measured: that takes about {seconds:.2g} seconds.</p>", False
    try:
        curve = curve_length(trajectory)
    except (InvalidInput, TransportFailed) as error:
        return _table(rows) + f"<p>Its length is not measured: {escape(str(error))}.</p>", False
    rows += [
        ("W<sub>2</sub>(μ<sub>0</sub>, μ<sub>T</sub>), from start to end", number(curve.chord)),
        ("Σ W<sub>2</sub>(μ<sub>k</sub>, μ<sub>k+1</sub>), from frame to frame", number(curve.length)),
        ("∫|μ̇| dt, where |μ̇|² = ∫|∇G|² dμ (trapezoidal rule on the frames)", number(curve.integrals.sum())),
        ("Σ (Δt ∫|μ̇|² dt)<sup>½</sup>, a bound of the integral between frames", number(curve.bounds.sum())),
        (
            "largest W<sub>2</sub> between frames over its bound, at most 1 for the exact flow",
            number(_largest_ratio(curve)),
        ),
    ]
    return _table(rows), True


def _largest_ratio(curve):
    moved = curve.bounds > 0
    return float(np.max(curve.steps[moved] / curve.bounds[moved], initial=0.0))


def _table(rows):
    lines = "".join(f"<tr><td>{name}</td><td>{value}</td></tr>" for name, value in rows)
    return f"<table>{lines}</table>" if rows else ""
