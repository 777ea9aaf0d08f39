"""The ledger as one HTML page that stands on its own: a table, and each claim with its evidence and its figure."""

from html import escape
from pathlib import Path

import particleflow as pf
from validation.drawing import to_svg

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>particleflow: the ledger of claims</title>
<style>
body {{ font: 16px/1.5 Georgia, serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; color: #111;
  background: #fff; }}
h1 {{ font-size: 1.6rem; }}
h2 {{ font-size: 1.1rem; margin: 2.2rem 0 .3rem; }}
table {{ border-collapse: collapse; width: 100%; font-size: .88rem; }}
th, td {{ text-align: left; padding: .3rem .6rem .3rem 0; border-bottom: 1px solid #ddd; vertical-align: top; }}
td.seconds, th.seconds {{ text-align: right; }}
a {{ color: inherit; }}
.contrary {{ color: #b00020; font-weight: bold; }}
.statement {{ font-style: italic; margin: .2rem 0; }}
.source {{ color: #666; font-size: .85rem; }}
svg {{ display: block; width: 26rem; max-width: 100%; height: auto; margin: .6rem 0; }}
</style>
</head>
<body>
<h1>The ledger of claims</h1>
<p>{summary}</p>
<table>
<tr><th>claim</th><th>verdict</th><th>expected</th><th>key figure</th><th class="seconds">seconds</th></tr>
{lines}
</table>
{sections}
</body>
</html>
"""


def report_file(path):
    """Return the file of a report as a Path.

    Raises
    ------
    InvalidInput
        If it does not end in .html, or its folder does not exist.
    """
    path = Path(path)
    if path.suffix != ".html":
        raise pf.InvalidInput(f"report = {str(path)!r}: valid are files that end in .html")
    if not path.parent.is_dir():
        raise pf.InvalidInput(f"report = {str(path)!r}: the folder {str(path.parent)!r} does not exist")
    return path


def write_report(rows, file):
    """Write the page of examined claims.

    Raises
    ------
    InvalidInput
        If the file cannot be written.
    """
    good, seconds = sum(row.as_expected for row in rows), sum(row.seconds for row in rows)
    page = PAGE.format(
        summary=f"particleflow {pf.__version__}: {good} of {len(rows)} verdicts as expected{left_out(rows)}, "
        f"in {seconds:.0f} seconds.",
        lines="\n".join(map(_line, rows)),
        sections="\n".join(map(_section, rows)),
    )
    try:
        file.write_text(page, encoding="utf-8")
    except OSError as error:
        raise pf.InvalidInput(f"report = {str(file)!r} cannot be written: {error.strerror}") from None


def left_out(rows):
    """Return how many claims were not examined, as words to follow a number; nothing if all were."""
    count = sum(not (row.as_expected or row.contrary) for row in rows)
    return f", {count} not examined" if count else ""


def _line(row):
    claim = row.claim
    cells = f'<a href="#{escape(claim.name)}">{_title(claim.name)}</a>', _verdict(row), claim.expected
    inner = "".join(f"<td>{cell}</td>" for cell in (*cells, escape(row.key_figure)))
    return f'<tr>{inner}<td class="seconds">{row.seconds:.1f}</td></tr>'


def _section(row):
    claim = row.claim
    parts = [
        f'<h2 id="{escape(claim.name)}">{_title(claim.name)}: {_verdict(row)}</h2>',
        f'<p class="statement">{escape(claim.statement)}</p>',
        f"<p>{escape(row.evidence)}</p>",
        to_svg(row.figure, claim.name) if row.figure is not None else "",
        f'<p class="source">{escape(claim.source)}</p>',
    ]
    return "\n".join(part for part in parts if part)


def _title(name):
    return escape(name.replace("_", " "))


def _verdict(row):
    return f'<span class="contrary">{row.verdict}</span>' if row.contrary else row.verdict
