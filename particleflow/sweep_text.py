"""What ``particleflow summarize`` says of a sweep."""

from dataclasses import asdict

import numpy as np

from particleflow.summary import plain
from particleflow.sweep_config import SEED, told
from particleflow.sweep_runs import DONE, UNDONE
from particleflow.sweep_summary import TO_WIDEST, WIDTH
from particleflow.values import is_real

VALUES = ("energy", "gap", "relative_gap", "test_error", TO_WIDEST)
"""The values whose limits are shown, where there are any."""
FITTED = ("gap", "test_error", TO_WIDEST)
"""Those that power laws are fitted to: they would fall to 0 in the limit."""
_MOST_TROUBLES, _MOST_TABLES = 10, 12


def numeric_keys(sweep):
    """Return the swept keys that curves can be drawn against: those with several numbers; the seed if it is alone."""
    found = [
        key for key, values in sweep.parameters.items() if all(map(is_real, values)) and len(dict.fromkeys(values)) > 1
    ]
    return [key for key in found if key != SEED] or found


def summarize(sweep):
    """Return the facts of a `Sweep` as a dict of plain values: what ``particleflow summarize --json`` prints."""
    keys = numeric_keys(sweep)
    values = [name for name in VALUES if name in sweep.names]
    pairs = [(name, key) for key in keys for name in values if name != TO_WIDEST or key == WIDTH]
    curves = [curve for name, key in pairs for curve in sweep.curves(name, key)]
    laws = [law for name, key in pairs if name in FITTED and key != SEED for law in power_laws(sweep, name, key)]
    rows = sweep.to_dict()
    return plain(
        {
            "folder": str(sweep.folder),
            "runs": len(sweep),
            "statuses": {status: sweep.status.count(status) for status in dict.fromkeys(sweep.status)},
            "seconds": sum(row["seconds"] or 0.0 for row in rows),
            "swept": {key: list(_distinct(values)) for key, values in sweep.parameters.items()},
            "curves": [
                {
                    key: value.tolist() if isinstance(value, np.ndarray) else value
                    for key, value in asdict(curve).items()
                }
                for curve in curves
            ],
            "power_laws": [{**asdict(law), "text": str(law)} for law in laws],
            "rows": rows,
        }
    )


def power_laws(sweep, name, key):
    """Return the power laws that are shown for a value against a swept key."""
    return sweep.fits_to_widest() if name == TO_WIDEST else sweep.fits(name, key)


def to_text(summary):
    """Return a summary as text for people."""
    statuses = ", ".join(f"{count} {status}" for status, count in summary["statuses"].items())
    swept = ", ".join(f"{key} ({len(values)} values)" for key, values in summary["swept"].items())
    rows = [("sweep", summary["folder"]), ("runs", f"{summary['runs']}: {statuses}"), ("swept", swept)]
    rows.append(("time of all runs", f"{summary['seconds']:.4g} s"))
    lines = [f"{label:16}  {value}" for label, value in rows]
    lines += _troubles(summary["rows"])
    tables = _tables(summary["curves"])
    lines += [line for table in tables[:_MOST_TABLES] for line in ("", *table)]
    if len(tables) > _MOST_TABLES:
        lines += ["", f"and {len(tables) - _MOST_TABLES} more tables: --json has them"]
    if summary["power_laws"]:
        lines += ["", "power laws"]
        lines += [f"  {law['text']}" for law in summary["power_laws"]]
    return "\n".join(lines)


def _troubles(rows):
    troubled = [row for row in rows if row["status"] not in (*DONE, *UNDONE)]
    lines = [f"{row['status']:16}  {told(row['parameters'])}: {row['message']}" for row in troubled[:_MOST_TROUBLES]]
    more = len(troubled) - _MOST_TROUBLES
    return lines + ([f"{'':16}  and {more} more"] if more > 0 else [])


def _tables(curves):
    """Return tables, lists of lines: one for each parameter and choice of the others, a column for each value."""
    groups = {}
    for curve in curves:
        groups.setdefault((curve["against"], str(curve["at"])), []).append(curve)
    tables = []
    for (against, _), members in groups.items():
        at = members[0]["at"]
        places = sorted({x for curve in members for x in curve["x"]})
        cells = [[against, "runs", *(curve["name"] for curve in members)]]
        for place in places:
            found = [_cell(curve, place) for curve in members]
            cells.append([f"{place:.6g}", str(max(count for _, count in found)), *(text for text, _ in found)])
        widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
        heading = "median [16 %, 84 %] over the seeds" + (f" at {told(at)}" if at else "")
        body = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]
        tables.append([heading, *(f"  {line}" for line in body)])
    return tables


def _cell(curve, place):
    """Return what stands in a table for the value of a curve at a place, and how many runs it rests on."""
    if place not in curve["x"]:
        return "–", 0
    k = curve["x"].index(place)
    count = curve["count"][k]
    band = f" [{curve['low'][k]:.3g}, {curve['high'][k]:.3g}]" if count > 1 else ""
    return f"{curve['median'][k]:.4g}{band}", count


def _distinct(values):
    known = []
    for value in values:
        if value not in known:
            known.append(value)
    return known
