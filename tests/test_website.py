"""How text becomes a page of the site; that all pages can be built is what ``make docs`` shows."""

import pytest

pytest.importorskip("sphinx", reason='needs pip install "particleflow[docs]"')
pytest.importorskip("latex2mathml")

import particleflow as pf
from website.docstrings import _plain
from website.links import links_of_site
from website.pages import NAVIGATION, ROOT, TOPICS, generated, reference, site_path
from website.scripts import _set


def marked(nodes_):
    """Return nodes as text, with ↓{} and ↑{} for what is set lower and higher."""
    arrows = {"subscript": "↓{%s}", "superscript": "↑{%s}"}
    return "".join(arrows.get(node.tagname, "%s") % (marked(node.children) or node.astext()) for node in nodes_)


@pytest.mark.parametrize(
    ("text", "set_"),
    [
        ("θ_i and μ_m", "θ↓{i} and μ↓{m}"),
        ("W ∈ R^{s×d}", "W ∈ R↑{s×d}"),
        ("u_i^(k) of μ^(1,3)", "u↓{i}↑{(k)} of μ↑{(1,3)}"),
        ("m^(−1/2), e^(−2t), 2^−52", "m↑{−1/2}, e↑{−2t}, 2↑{−52}"),
        ("Σ_{k<l} δ_{θ_i}", "Σ↓{k<l} δ↓{θ↓{i}}"),
        ("a*_k and θ̇_i, ν_±", "a*↓{k} and θ̇↓{i}, ν↓{±}"),
        ("min_s of D_S(m), 1e-6", "min↓{s} of D↓{S}(m), 1e-6"),
        ("the test_error in step_size.py, _private, x ^ y", "the test_error in step_size.py, _private, x ^ y"),
    ],
)
def test_scripts(text, set_):
    assert marked(_set(text)) == set_


def test_numbers_stay_with_their_units():
    text = "from 1.4 ms to 1,000 s, 2.3 × as long, in 5 steps at m = 1,000, ok = 3, 1e-6"
    pieces = [node.astext() for node in _set(text) if node.children]
    assert [piece for piece in pieces if len(piece) < 10] == ["1.4 ms", "1,000 s", "2.3 ×", "m = 1,000", "1e-6"]


def test_links_between_files_become_links_between_pages():
    text = "[a](docs/mathematics.md#noise) [b](examples/log_gas.py) ![c](docs/images/log_gas.png) [d](https://x.org/y)"
    expected = "[a](mathematics.md#noise) [b](examples/log_gas_py.md) ![c](images/log_gas.png) [d](https://x.org/y)"
    assert links_of_site(text, "README.md") == expected
    code = "`[a](nowhere.py)`\n```\n[b](nowhere.py)\n```\n"
    assert links_of_site(code, "README.md") == code
    assert site_path("../examples/log_gas.toml", "docs/gallery.md") == "examples/log_gas_toml.md"
    assert site_path("../docs/gallery.md", "examples/log_gas.py") == "../gallery.md"
    with pytest.raises(LookupError, match=r"README.md: no page of the site is made of 'Makefile'"):
        site_path("Makefile", "README.md")


def test_every_public_name_is_in_the_reference():
    listed = [name for names in reference().values() for name in names]
    assert sorted([*listed, "open", "__version__"]) == pf.__all__


def test_every_page_is_in_the_navigation():
    pages = {path.name for path in (ROOT / "docs").glob("*.md")} | set(generated())
    reached = {page for group in NAVIGATION.values() for page in group} | {"index"}
    assert {page.rpartition(".")[0] for page in pages if not page.startswith("examples/")} == reached - {
        "examples/index"
    }
    assert {f"reference/{topic}.rst" for topic in TOPICS} <= pages


def test_docstrings_are_text_and_code_stays_code():
    lines = ["|a|‖w‖ at θ*, `particleflow.flow.solve` and ``x | y``, *Emphasis here*", "", "rows, columns : int"]
    _plain(None, "function", "f", None, None, lines)
    first = r"\|a\|‖w‖ at θ\*, `particleflow.solve` and ``x | y``, *Emphasis here*"
    assert lines == [first, "", "rows,columns : int"]
