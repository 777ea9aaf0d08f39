"""The ledger of claims: exit codes, table, JSON and page with tiny claims, and the fast ones among the real claims."""

import json
import os
import re
import signal
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

import particleflow as pf
from particleflow import cli
from validation import enumeration, ledger

ROOT = Path(__file__).parent.parent
FAST = (
    "energy_is_interaction",
    "gradient_descent_linear_rate",
    "last_inequality",
    "last_inequality_corrected",
    "marginals_control_synchronization",
    "optimum_two_ways",
    "synchronization_is_assignment",
    "weak_form",
)
CLAIM = """\
from validation.drawing import half_page
from validation.ledger import Finding

STATEMENT, SOURCE, EXPECTED = "1 + 1 = <2>.", "Peano 1889, §1", "{expected}"


def check():
    value = {value}
    verdict = "holds" if value == 2 else "refuted"
    return Finding(verdict, f"1 + 1 = {{value}}.", {{"sum": value, "none": [1e400]}}, 1e-12)


def figure(finding):
    drawn, axes = half_page("$m$", "sum")
    axes.plot([1, finding.numbers["sum"]])
    return drawn
"""


@pytest.fixture
def claims(tmp_path, monkeypatch):
    """A function that puts claims {name: (expected, value)} in place of the real ones."""

    def write(**claims):
        for name, (expected, value) in claims.items():
            (tmp_path / f"{name}.py").write_text(CLAIM.format(expected=expected, value=value), encoding="utf-8")
            monkeypatch.delitem(sys.modules, f"validation.claims.{name}", raising=False)
        import validation.claims

        monkeypatch.setattr(ledger, "CLAIMS", tmp_path)
        monkeypatch.setattr(ledger, "processes", lambda names: 1)  # where they are put in place
        monkeypatch.setattr(validation.claims, "__path__", [str(tmp_path)])

    return write


def test_a_claim_as_expected_ends_with_0(claims, capsys):
    claims(sums=("holds", "1 + 1"), wrong=("refuted", "1 + 2"))
    assert ledger.main([]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:3] for line in lines[2:4]] == [["sums", "holds", "holds"], ["wrong", "refuted", "refuted"]]
    assert "sum = 2" in lines[2] and lines[2].endswith("Peano 1889, §1")
    assert lines[-1].startswith("2 of 2 verdicts as expected")


@pytest.mark.parametrize(
    "expected, value, verdict",
    [("holds", "1 + 2", "refuted"), ("refuted", "1 + 1", "holds"), ("holds", "1 / 0", "failed")],
)
def test_another_verdict_ends_with_1_and_the_others_still_run(claims, capsys, expected, value, verdict):
    claims(first=(expected, value), second=("holds", "1 + 1"))
    assert ledger.main([]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[2].split()[:3] == ["first", verdict, expected]
    assert lines[3].strip() == (
        "ZeroDivisionError: division by zero" if verdict == "failed" else f"1 + 1 = {lines[3].split()[-1]}"
    )
    assert lines[4].split()[:2] == ["second", "holds"]


def test_a_claim_without_its_package_is_neither_good_nor_bad(claims, tmp_path, capsys):
    claims(sums=("holds", "1 + 1"))
    missing = "import particleflow as pf\n" + CLAIM.format(expected="holds", value="2")
    missing = missing.replace("    value = 2", "    raise pf.MissingPackage('it needs abacus: pip install abacus')")
    (tmp_path / "needy.py").write_text(missing, encoding="utf-8")
    assert ledger.main(["--report", str(tmp_path / "page.html")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "not examined" in lines[2] and lines[3].strip() == "it needs abacus: pip install abacus"
    assert lines[-1].startswith("1 of 2 verdicts as expected, 1 not examined")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "1 of 2 verdicts as expected, 1 not examined" in page and 'class="contrary"' not in page


def test_an_unknown_name_is_one_sentence_and_2(claims, capsys):
    claims(sums=("holds", "1 + 1"), wrong=("refuted", "1 + 2"))
    assert ledger.main(["sums", "products"]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err == "validation: error: there is no claim 'products'; valid: sums, wrong\n"


def test_a_claim_that_cannot_be_imported_is_a_row(claims, tmp_path):
    claims(sums=("holds", "1 + 1"))
    (tmp_path / "sums.py").write_text("STATEMENT = 1 +")
    row = ledger.examine("sums")
    assert (row.verdict, row.as_expected) == ("failed", False) and row.evidence.startswith("SyntaxError: ")


def test_json_is_one_array_whose_rows_have_the_same_keys(claims, capsys):
    claims(sums=("holds", "1 + 1"), broken=("holds", "1 / 0"))
    assert ledger.main(["--json", "sums", "broken"]) == 1
    rows = json.loads(capsys.readouterr().out, parse_constant=lambda name: pytest.fail(name))
    assert [(row["name"], row["verdict"], row["as_expected"]) for row in rows] == [
        ("sums", "holds", True),
        ("broken", "failed", False),
    ]
    keys = ["name", "statement", "source", "verdict", "expected", "as_expected", "evidence", "numbers", "tolerance"]
    assert all(list(row) == [*keys, "seconds"] for row in rows)
    assert rows[0]["numbers"] == {"sum": 2, "none": [None]} and rows[0]["tolerance"] == 1e-12


def test_verdicts_have_to_exist(claims):
    with pytest.raises(ValueError, match="verdict = 'maybe'; valid: holds"):
        ledger.Finding("maybe", "", {})
    claims(sums=("true", "1 + 1"))
    with pytest.raises(ValueError, match="sums: EXPECTED = 'true'; valid: holds"):
        ledger.load_claim("sums")


# --- the page ---------------------------------------------------------------------------------------------------------


class Page(HTMLParser):
    """The tags of a page, its ids and what it links to."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.ids, self.links = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        for name, value in attrs:
            if name == "id":
                self.ids.append(value)
            if name in ("href", "xlink:href", "src"):
                self.links.append(value)


def test_the_report_is_one_page_that_stands_on_its_own(claims, tmp_path, capsys):
    claims(sums=("holds", "1 + 1"), others=("holds", "2 + 0"), broken=("holds", "1 / 0"))
    assert ledger.main(["--report", str(tmp_path / "page.html")]) == 1
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    page = Page(text)
    assert page.tags.count("svg") == 2 and not {"script", "img", "link", "iframe"} & set(page.tags)
    assert len(page.ids) == len(set(page.ids))
    assert all(link.startswith("#") and link[1:] in page.ids for link in page.links)
    assert not re.search(r"url\((?!#)|@import", text)
    assert "1 + 1 = &lt;2&gt;." in text and "ZeroDivisionError" in text
    assert "page.html" in capsys.readouterr().err


@pytest.mark.parametrize(("report", "words"), [("page.txt", "end in .html"), ("no/page.html", "does not exist")])
def test_a_report_that_cannot_be_written_is_refused_before_any_work(report, words, claims, tmp_path, capsys):
    claims(sums=("holds", "1 + 1"))
    assert ledger.main(["--report", str(tmp_path / report)]) == 2
    out, err = capsys.readouterr()
    assert out == "" and words in err
    assert not list(tmp_path.glob("no*"))


# --- the real claims --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ledger.claim_names())
def test_every_claim_is_complete(name):
    claim = ledger.load_claim(name)
    assert claim.statement.endswith(".") and claim.source and claim.check.__doc__
    assert claim.figure is None or claim.figure.__doc__


@pytest.mark.parametrize("name", FAST)
def test_fast_claims(name):
    row = ledger.examine(name)
    if row.verdict == ledger.NOT_EXAMINED:
        pytest.skip(row.evidence)
    assert row.as_expected, row.evidence


def test_the_documentation_has_the_verdicts_of_all_claims():
    text = (ROOT / "docs" / "validation.md").read_text(encoding="utf-8")
    lines = text[text.index("---  ---") :].splitlines()[1:]
    table = [re.split(r"\s{2,}", line)[:3] for line in lines[: lines.index("")]]
    expected = [(name, ledger.load_claim(name).expected) for name in ledger.claim_names()]
    assert table == [[name, verdict, verdict] for name, verdict in expected]
    assert f"{len(expected)} of {len(expected)} verdicts as expected" in text


def test_enumeration_agrees_with_the_library_and_is_exact_for_integers():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(5, 3, 2))
    for cycles in (False, True):
        value = enumeration.term(rows, (0, 1, -1), cycles=cycles)
        assert value == pytest.approx(pf.synchronization_term(rows, cycles=cycles)[0], rel=1e-13)
    assert enumeration.term(np.array([[[0], [1]], [[2], [1]], [[1], [1]]]), (0, 1)) * 3 == 2


# --- the command line -------------------------------------------------------------------------------------------------


def command(*arguments, folder, **environment):
    code = "import sys; sys.path[0] = sys.argv.pop(1); from particleflow.cli import program; program()"
    return subprocess.run(
        [sys.executable, "-c", code, str(ROOT), *arguments],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        encoding="utf-8",
    )


def test_the_command_runs_the_claims_of_the_repository_from_any_folder(tmp_path):
    (tmp_path / "validation" / "claims").mkdir(parents=True)
    for trap in ("validation/__init__.py", "validation/ledger.py", "validation/claims/last_inequality.py"):
        (tmp_path / trap).write_text("raise SystemExit('the current folder was imported')\n")
    verdicts, page = {"last_inequality": "refuted", "synchronization_is_convex": "holds"}, tmp_path / "page.html"
    done = command("validate", *verdicts, "--json", "--report", str(page), folder=tmp_path, NUMBA_NUM_THREADS="2")
    assert done.returncode == 0, done.stderr
    assert {row["name"]: row["verdict"] for row in json.loads(done.stdout)} == verdicts
    assert Page(page.read_text(encoding="utf-8")).tags.count("svg") == 1


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="signals as POSIX has them")
@pytest.mark.parametrize(
    "program, name", [(["validation"], "validation"), (["particleflow.cli", "validate"], "particleflow")]
)
def test_ctrl_c_ends_all_processes_in_one_line(program, name):
    running = subprocess.Popen(
        [sys.executable, "-m", *program, "last_inequality", "annealed_noise", "particle_success"],
        cwd=ROOT,
        env={**os.environ, "NUMBA_NUM_THREADS": "2"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        start_new_session=True,
    )
    assert any(line.startswith("last_inequality ") for line in running.stdout)
    os.killpg(running.pid, signal.SIGINT)  # as a terminal does
    out, err = running.communicate(timeout=60)  # to the end of the pipes, which is that of the last process
    assert (running.returncode, out, err) == (130, "", f"{name}: interrupted\n")


def test_the_command_refuses_an_unknown_claim(tmp_path):
    done = command("validate", "everything", folder=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("particleflow: error: there is no claim 'everything'; valid: ")


def test_an_installed_package_says_where_the_claims_are(tmp_path):
    with pytest.raises(pf.InvalidInput, match="live in the repository"):
        cli._ledger(tmp_path)
