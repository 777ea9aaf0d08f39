"""A stored sweep as one HTML page that stands on its own."""

from contextlib import suppress
from html import escape

from particleflow.bibliography import bibtex, citations
from particleflow.errors import TrajectoryError
from particleflow.sweep_figures import sweep_figures
from particleflow.sweep_summary import TO_WIDEST
from particleflow.sweep_text import summarize, to_text
from particleflow.web_page import figure_row, html_file, html_page, write_html

_STYLE = """.wide { overflow-x: auto; }
td, th { white-space: nowrap; }
"""
_MOST_ROWS = 2000


def write_sweep_report(sweep, path):
    """Write a stored sweep as one HTML page that loads nothing from anywhere.

    Its limits in tables and figures, with the power laws they follow; every run with its parameters and how it ended;
    the configuration, and BibTeX of what it rests on.

    Parameters
    ----------
    sweep : Sweep
        The sweep.
    path : str or Path
        The file to write, ``.html``; replaced if it exists.

    Returns
    -------
    Path

    Raises
    ------
    InvalidInput
        If the file does not end in .html, or cannot be written.
    """
    path = html_file(path, "report")
    summary = summarize(sweep)
    sections = [
        ("In numbers", f"<pre>{escape(to_text(summary))}</pre>"),
        ("Figures", figure_row(sweep_figures(sweep), "sweep")),
        ("The runs", _runs(summary["rows"])),
        ("Made with", f"<p>{escape(_versions(summary['rows']))}</p>"),
        ("The configuration", f"<pre>{escape(sweep.config)}</pre>"),
        ("What to cite", _cited(sweep)),
    ]
    body = "\n".join(f"<h2>{title}</h2>\n{content}" for title, content in sections if content)
    name = sweep.folder.resolve().name
    return write_html(html_page(f"Sweep {name}", body, style=_STYLE), path, "report")


def _runs(rows):
    """Return the runs as a table."""
    keys = list(rows[0]["parameters"])
    values = [name for name in ("energy", "test_error") if any(name in row["observables"] for row in rows)]
    certified = any(row["certificate"] for row in rows)
    heads = [*keys, "status", *values, *(["relative gap"] if certified else []), "seconds", "file"]
    lines = ["".join(f"<th>{escape(head.replace('_', ' '))}</th>" for head in heads)]
    for row in rows[:_MOST_ROWS]:
        cells = [_number(row["parameters"][key]) for key in keys]
        cells.append(row["status"] if row["seconds"] is not None else f"{row['status']}: {row['message']}")
        cells += [_number(row["observables"].get(name)) for name in values]
        cells += [_number((row["certificate"] or {}).get("relative_gap"))] if certified else []
        cells += [_number(row["seconds"]), row["file"].rpartition("/")[2]]
        lines.append("".join(f"<td>{escape(cell)}</td>" for cell in cells))
    more = f"<p>and {len(rows) - _MOST_ROWS} more</p>" if len(rows) > _MOST_ROWS else ""
    return f'<div class="wide"><table>{"".join(f"<tr>{line}</tr>" for line in lines)}</table></div>{more}'


def _number(value):
    if value is None:
        return "–"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _versions(rows):
    """Return the versions that the runs were made with."""
    found = dict.fromkeys(
        ", ".join(f"{name} {version}" for name, version in row["versions"].items()) for row in rows if row["versions"]
    )
    return "; ".join(found)


def _cited(sweep):
    """Return what the sweep rests on, by the first run that is done."""
    keys = []
    with suppress(TrajectoryError, IndexError), sweep.open(sweep.done.nonzero()[0][0]) as trajectory:
        keys = citations(trajectory, certified="gap" in sweep.names, measured=TO_WIDEST in sweep.names)
    return f"<pre>{escape(bibtex(keys))}</pre>" if keys else ""
