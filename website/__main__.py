"""Build the site: lay out its pages in a folder of their own, and let Sphinx make HTML of them, warnings as errors."""

import shutil
import sys
import tempfile
from pathlib import Path

from sphinx.cmd.build import build_main

from website.links import links_of_site
from website.pages import ROOT, generated


def main(folder="site"):
    """Build the site in a folder, which is replaced; return the exit code."""
    with tempfile.TemporaryDirectory() as work:
        source = Path(work) / "source"
        lay_out(source)
        shutil.rmtree(folder, ignore_errors=True)
        options = ["--quiet", "--fail-on-warning", "--keep-going", "--conf-dir", str(ROOT / "website")]
        return build_main([*options, "--doctree-dir", f"{work}/doctrees", str(source), str(folder)])


def lay_out(source):
    """Write the source of every page, Markdown or reStructuredText, and the pictures, to a folder."""
    shutil.copytree(ROOT / "docs" / "images", source / "images")
    shutil.copytree(ROOT / "website" / "static", source / "static")
    pages = {
        path.name: (path.read_text(encoding="utf-8"), f"docs/{path.name}") for path in (ROOT / "docs").glob("*.md")
    }
    for page, (text, origin) in {**pages, **generated()}.items():
        path = source / page
        path.parent.mkdir(exist_ok=True)
        path.write_text(text if origin is None else links_of_site(text, origin), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
