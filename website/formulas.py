"""Formulas in LaTeX as MathML, which browsers draw by themselves: no script, no font, nothing from the network."""

from docutils import nodes
from latex2mathml.converter import convert


def setup(app):
    """Register the renderer."""
    app.add_html_math_renderer("mathml", (_inline, None), (_display, None))
    return {"parallel_read_safe": True}


def _inline(translator, node):
    translator.body.append(_mathml(node, "inline"))
    raise nodes.SkipNode


def _display(translator, node):
    translator.body.append(f'<div class="formula">{_mathml(node, "block")}</div>')
    raise nodes.SkipNode


def _mathml(node, display):
    prime = "&#x02032;"  # as an exponent it would be a dot: the style sheet enlarges it
    larger = f'<mo class="prime" lspace="0" rspace="0">{prime}</mo>'
    return convert(node.astext(), display=display).replace(f"<mi>{prime}</mi>", larger)
