"""The ledger as one HTML page that stands on its own: a table, and each claim with its evidence and its figure."""

from html import escape

import particleflow as pf

STYLE = """td.seconds, th.seconds { text-align: right; }
.contrary { color: #b00020; font-weight: bold; }
.statement { font-style: italic; margin: .2rem 0; }
.source { color: #666; font-size: .85rem; }
"""
BODY = """<p>{summary}</p>
<table>
<tr><th>claim</th><th>verdict</th><th>expected</th><th>key figure</th><th class="seconds">seconds</th></tr>
{lines}
</table>
{sections}"""


def write_report(rows, file):
    """Write the page of examined claims.

    Raises
    ------
    InvalidInput
        If the file cannot be written.
    """
    good, seconds = sum(row.as_expected for row in rows), sum(row.seconds for row in rows)
    body = BODY.format(
        summary=f"particleflow {pf.__version__}: {good} of {len(rows)} verdicts as expected{left_out(rows)}, "
        f"in {seconds:.0f} seconds.",
        lines="\n".join(map(_line, rows)),
        sections="\n".join(map(_section, rows)),
    )
    pf.write_html(pf.html_page("particleflow: the ledger of claims", body, style=STYLE), file, "report")


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
        row.figure or "",
        f'<p class="source">{escape(claim.source)}</p>',
    ]
    return "\n".join(part for part in parts if part)


def _title(name):
    return escape(name.replace("_", " "))


def _verdict(row):
    return f'<span class="contrary">{row.verdict}</span>' if row.contrary else row.verdict
