"""Indices and exponents: θ_i, R^{s×d} and e^(−2t), as they are written in text, set lower and higher on the site.

1e-6, 1.5 ms and m = 1000 are kept in one piece each.
"""

import re

from docutils import nodes
from sphinx.addnodes import desc_signature
from sphinx.transforms import SphinxTransform

_NESTED = r"\{(?:[^{}]|\{[^{}]*\})*\}"
_SCRIPT = re.compile(
    r"(?<=[\w)\]‖⟩'*\u0300-\u036f∂∇Σ∫Π])(?<![A-Za-z]{3})(?<![A-Za-z]_)([_^])"
    rf"({_NESTED}|\([^()\s]*\)|[−±+]?[^\W_]+[*']?|[−±+])"
    r"|(?<=\bmin|\bmax|\bsup)(_)([^\W_]+)"
    r"|((?<!\w)[^\W\d_] = \d(?:[\d.,]*\d)?|\d[\d.]*e-\d+|\d[\d.,]* (?:ns|µs|ms|s|min|KB|MB|GB|GB/s|×|%)(?!\w))"
)
_POWER = re.compile(r"\(([−\d][^,]*)\)")


def setup(app):
    """Register the transform."""
    app.add_transform(SetScripts)
    return {"parallel_read_safe": True}


class SetScripts(SphinxTransform):
    """Set the scripts in all text of a page that is no code."""

    default_priority = 600

    def apply(self):
        """Go through all text."""
        code = (nodes.literal, nodes.literal_block, nodes.math, nodes.math_block, nodes.raw, desc_signature)
        for text in list(self.document.findall(nodes.Text)):
            parent = text.parent
            while parent is not None and not isinstance(parent, code):
                parent = parent.parent
            if parent is None and _SCRIPT.search(text.astext()):
                text.parent.replace(text, _set(text.astext()))


def _set(text):
    """Return text as nodes."""
    found, position = [], 0
    for match in _SCRIPT.finditer(text):
        if match[5]:
            number = nodes.inline("", match[5], classes=["number"])
            found += [nodes.Text(text[position : match.start()]), number]
            position = match.end()
            continue
        mark, script = (match[1], match[2]) if match[1] else (match[3], match[4])
        if mark == "_" and script.startswith("("):
            continue
        script = script[1:-1] if script.startswith("{") else _POWER.sub(r"\1", script)
        element = nodes.subscript if mark == "_" else nodes.superscript
        found += [nodes.Text(text[position : match.start()]), element("", "", *_set(script))]
        position = match.end()
    return [*found, nodes.Text(text[position:])]
