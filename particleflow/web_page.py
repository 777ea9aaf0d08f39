"""Web pages that stand on their own: one file, figures as SVG inside it, nothing loaded from anywhere."""

import io
import re
from contextlib import suppress
from html import escape
from pathlib import Path

from particleflow.errors import InvalidInput
from particleflow.plot_style import NotApplicable, write_whole

_REM_PER_INCH = 6.3  # letters of one size in all figures
_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
body {{ font: 16px/1.5 Georgia, serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; color: #111;
  background: #fff; overflow-wrap: break-word; }}
h1 {{ font-size: 1.6rem; }}
h2 {{ font-size: 1.1rem; margin: 2.2rem 0 .3rem; }}
table {{ border-collapse: collapse; width: 100%; font-size: .88rem; }}
th, td {{ text-align: left; padding: .3rem .6rem .3rem 0; border-bottom: 1px solid #ddd; vertical-align: top; }}
a {{ color: inherit; }}
pre {{ font-size: .8rem; line-height: 1.4; background: #f6f6f6; padding: .6rem .8rem; overflow-x: auto; }}
svg {{ display: block; width: 26rem; max-width: 100%; height: auto; margin: .6rem 0; }}
.figures {{ display: flex; flex-wrap: wrap; align-items: flex-start; gap: 0 1.5rem; }}
.figures svg {{ width: 100%; }}
{style}</style>
</head>
<body>
<h1>{title}</h1>
{body}
</body>
</html>
"""


def html_page(title, body, *, style=""):
    """Return a page: its title, a text, above a body in HTML, with rules of CSS beside those that all pages share."""
    return _PAGE.format(title=escape(title), body=body, style=style)


def html_file(path, name):
    """Return the file of a page as a Path.

    Raises
    ------
    InvalidInput
        If it does not end in .html, or its folder does not exist; the message begins with the name.
    """
    path = Path(path)
    if path.suffix != ".html":
        raise InvalidInput(f"{name} = {str(path)!r}: valid are files that end in .html")
    try:
        found = path.parent.is_dir()
    except OSError:  # a name that is too long
        found = False
    if not found:
        raise InvalidInput(f"{name} = {str(path)!r}: the folder {str(path.parent)!r} does not exist")
    return path


def write_html(page, path, name):
    """Write a page to the file that `html_file` has found good; `InvalidInput` if that fails. Returns the path."""
    try:
        return write_whole(path, page.encode("utf-8"))
    except OSError as error:
        raise InvalidInput(f"{name} = {str(path)!r} cannot be written: {error.strerror}") from None


def figure_svg(figure, name):
    """Return a figure as an <svg> element, its letters as outlines and its ids marked by a name: a page holds many."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")))
    text = buffer.getvalue()
    return re.sub(r'( id="|href="#|url\(#)', rf"\g<1>{name}-", text[text.index("<svg") :])


def figure_row(draw, mark):
    """Return those figures that apply as inline SVG, side by side; `draw` has a function for each name."""
    drawn = []
    for name, figure in draw.items():
        with suppress(NotApplicable):
            picture = figure()
            width = _REM_PER_INCH * picture.get_figwidth()
            drawn.append(f'<div style="flex: 0 1 {width:.1f}rem">{figure_svg(picture, f"{mark}-{name}")}</div>')
    return f'<div class="figures">{"".join(drawn)}</div>' if drawn else ""
