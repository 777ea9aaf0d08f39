"""Docstrings for the reference, and names in the pages that lead to it.

Docstrings are written to be read in an editor: |∇G| is an absolute value there and θ* a point, no markup of
reStructuredText. What is code, `like this` or ``like that``, keeps its meaning.
"""

import re

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.domains.python import PyObject
from sphinx.transforms import SphinxTransform

import particleflow

_MARKUP = re.compile(r"(``.+?``|`[^`]+`|(?<![\w*])\*\w[^*]*\w\*(?![\w*]))")  # code, and *emphasis*
_LISTED = re.compile(r"^\w+(?:, \w+)+(?= : )", re.MULTILINE)  # attributes that share a description
_NAME = re.compile(r"pf\.(\w+)(?=\W|$)")


def setup(app):
    """Register both."""
    app.connect("autodoc-process-docstring", _plain, priority=100)  # before napoleon reads its sections
    app.add_transform(LinkNames)
    for field in PyObject.doc_field_types:
        if field.name == "variable":
            field.label = "Attributes"
    return {"parallel_read_safe": True}


def _plain(app, what, name, obj, options, lines):
    text = re.sub(
        r"^\w+(?:, \w+)+(?= : )", lambda names: names[0].replace(" ", ""), "\n".join(lines), flags=re.MULTILINE
    )
    lines[:] = "".join(
        _public(part) if _MARKUP.fullmatch(part) else re.sub(r"([\\|*]|(?<=\w)_(?!\w))", r"\\\1", part)
        for part in _MARKUP.split(text)
    ).split("\n")
    if what == "property":  # what stands before a colon would be taken for the type
        lines[0] = lines[0].replace(": ", " – ")


def _public(code):
    """Return the name of a public thing as users import it, without the room it lives in."""
    short = re.sub(r"particleflow(?:\.\w+)*\.(\w+)", r"particleflow.\1", code)
    return short if short.strip("`").rpartition(".")[2] in particleflow.__all__ else code


class LinkNames(SphinxTransform):
    """Code that begins with a public name, `pf.solve(...)`, leads to the entry of that name in the reference."""

    default_priority = 500

    def apply(self):
        """Go through inline code and types of a page; a letter in a type, as in "shape (m, p)", leads nowhere."""
        for link in list(self.document.findall(pending_xref)):
            name = link["reftarget"].removeprefix("particleflow.").partition(".")[0]
            if link["refdomain"] == "py" and name not in particleflow.__all__:
                link.replace_self(link.children)
        for literal in list(self.document.findall(nodes.literal)):
            found = _NAME.match(literal.astext())
            if found is None or isinstance(literal.parent, (nodes.reference, pending_xref)):
                continue
            target = "Trajectory" if found[1] == "open" else found[1]
            link = pending_xref(
                refdomain="py", reftype="obj", reftarget=f"particleflow.{target}", refdoc=self.env.docname, refwarn=True
            )
            literal.replace_self(link)
            link += literal
