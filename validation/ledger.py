"""The ledger of claims: every statement about the mathematics that particleflow relies on, or refutes, is computed.

A claim is a file of ``validation/claims`` with

- ``STATEMENT``, one sentence with the formula, and ``SOURCE``, where it is stated;
- ``EXPECTED``: "holds", "refuted" or "holds in the limit";
- ``check()``, which returns a `Finding` whose verdict follows from its numbers;
- optionally ``figure(finding)``, which draws them.

``particleflow validate`` and ``python -m validation`` run all claims or those that are named, on as many processes as
Numba may use threads. A claim that raises is a row with the verdict "failed"; the others still run. One that needs an
optional package which is not installed is a row "not examined": it counts neither as expected nor as contrary, and the
sums say so.
"""

import argparse
import json
import math
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from pathlib import Path

import numba
import numpy as np

import particleflow as pf
from validation.drawing import paper_style, to_svg
from validation.processes import spread
from validation.report import left_out, write_report

EXPECTABLE = ("holds", "refuted", "holds in the limit")
VERDICTS = (*EXPECTABLE, "undecided")
NOT_EXAMINED = "not examined"
CLAIMS = Path(__file__).parent / "claims"


@dataclass(frozen=True)
class Finding:
    """What a claim found.

    Attributes
    ----------
    verdict : str
        "holds", "refuted", "holds in the limit", or "undecided" where the numbers show none of them.
    evidence : str
        One sentence.
    numbers : dict of str → float or list
        What the verdict was computed from; the first is the key figure of the table.
    tolerance : float, optional
        Up to where numbers count as equal; None where the arithmetic is exact.
    """

    verdict: str
    evidence: str
    numbers: dict
    tolerance: float | None = None

    def __post_init__(self):
        if self.verdict not in VERDICTS:
            raise ValueError(f"verdict = {self.verdict!r}; valid: {', '.join(VERDICTS)}")


@dataclass(frozen=True)
class Claim:
    """One statement and how it is checked; EXPECTED and the others under their names in lower case."""

    name: str
    statement: str
    source: str
    expected: str
    check: Callable[[], Finding]
    figure: Callable | None = None


@dataclass(frozen=True)
class Row:
    """One line of the ledger: a claim, what was found, in which time; ``figure`` is an <svg> element or None."""

    claim: Claim
    verdict: str
    evidence: str
    seconds: float
    numbers: dict = field(default_factory=dict)
    tolerance: float | None = None
    figure: str | None = None

    @property
    def as_expected(self):
        """Whether the verdict is the expected one."""
        return self.verdict == self.claim.expected

    @property
    def contrary(self):
        """Whether the claim was examined, with another verdict than the expected one."""
        return not self.as_expected and self.verdict != NOT_EXAMINED

    @property
    def key_figure(self):
        """The first of the numbers, as "name = value"."""
        return next((f"{name} = {_short(value)}" for name, value in self.numbers.items()), "")

    def record(self):
        """Return the line as a JSON object, every key always there; numbers that are not finite are null."""
        fields = {
            "name": self.claim.name,
            "statement": self.claim.statement,
            "source": self.claim.source,
            "verdict": self.verdict,
            "expected": self.claim.expected,
            "as_expected": self.as_expected,
            "evidence": self.evidence,
            "numbers": self.numbers,
            "tolerance": self.tolerance,
            "seconds": round(self.seconds, 3),
        }
        return _plain(fields)


# --- claims -----------------------------------------------------------------------------------------------------------


def claim_names():
    """Return the names of all claims, in alphabetical order."""
    return sorted(path.stem for path in CLAIMS.glob("*.py") if path.stem != "__init__")


def load_claim(name):
    """Return the claim of a file of ``validation/claims``."""
    module = import_module(f"validation.claims.{name}")
    if module.EXPECTED not in EXPECTABLE:
        raise ValueError(f"{name}: EXPECTED = {module.EXPECTED!r}; valid: {', '.join(EXPECTABLE)}")
    parts = module.STATEMENT, module.SOURCE, module.EXPECTED, module.check
    return Claim(name, *parts, getattr(module, "figure", None))


def select(names, valid):
    """Return the names to run: those given, or all valid ones.

    Raises
    ------
    InvalidInput
        If there is no claim of a name.
    """
    unknown = [name for name in names if name not in valid]
    if unknown:
        raise pf.InvalidInput(f"there is no claim {unknown[0]!r}; valid: {', '.join(valid)}")
    return list(dict.fromkeys(names)) or list(valid)


def examine(name, *, draw=False):
    """Return the row of a claim; whatever it raises, also when it is imported, is its row."""
    claim, begin = Claim(name, "", "", "", None), time.perf_counter()
    try:
        claim = load_claim(name)
        finding = claim.check()
        seconds = time.perf_counter() - begin
        with paper_style():
            figure = to_svg(claim.figure(finding), name) if draw and claim.figure else None
    except pf.MissingPackage as error:
        return Row(claim, NOT_EXAMINED, str(error), time.perf_counter() - begin)
    except Exception as error:  # anything a claim raises is a result
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        return Row(claim, "failed", reason, time.perf_counter() - begin)
    return Row(claim, finding.verdict, finding.evidence, seconds, finding.numbers, finding.tolerance, figure)


def processes(names):
    """Return on how many processes claims are examined."""
    return max(1, min(len(names), numba.config.NUMBA_NUM_THREADS))


def _plain(value):
    """Return numbers of NumPy as those of Python, and what JSON has no number for as None."""
    if isinstance(value, dict):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [_plain(inner) for inner in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, (str, int, type(None))):
        return value
    return float(value) if math.isfinite(value) else None


def _short(value):
    values = np.ravel(np.asarray(value, dtype=np.float64))
    return ", ".join(f"{number:.3g}" for number in values)


# --- the table --------------------------------------------------------------------------------------------------------


class Table:
    """The ledger as text, a line as soon as a claim is examined; under a line that is not as expected its evidence."""

    heads = ("claim", "verdict", "expected", "key figure", "seconds", "source")

    def __init__(self, names):
        self.widths = (max(map(len, [*names, "claim"])), 18, 18, 42, 7, 0)
        self.say(self.heads)
        print("  ".join("-" * (width or len("Lazarus 2022, §2.5.3")) for width in self.widths), flush=True)
        self.rows = []

    def add(self, row):
        """Print a line."""
        self.rows.append(row)
        seconds = f"{row.seconds:7.1f}"
        self.say((row.claim.name, row.verdict, row.claim.expected, row.key_figure, seconds, row.claim.source))
        if not row.as_expected:
            print(f"    {row.evidence}", flush=True)

    def close(self):
        """Print the sums."""
        count, good = len(self.rows), sum(row.as_expected for row in self.rows)
        seconds = sum(row.seconds for row in self.rows)
        print(f"\n{good} of {count} verdicts as expected{left_out(self.rows)}, {seconds:.1f} s", flush=True)

    def say(self, cells):
        """Print cells at the widths of their columns."""
        line = "  ".join(f"{cell:{width}}" for cell, width in zip(cells, self.widths, strict=True))
        print(line.rstrip(), flush=True)


def run(names=(), *, as_json=False, report=None):
    """Examine claims, print the table or one JSON array, and write the report; return the exit code.

    Parameters
    ----------
    names : sequence of str
        Claims to examine; all by default.
    as_json : bool
        Print a JSON array, one object a claim, instead of the table.
    report : str or Path, optional
        Write a page there: a file that ends in .html, in a folder that exists.

    Returns
    -------
    int
        0 if no verdict is contrary to the expected one, else 1.

    Raises
    ------
    InvalidInput
        If there is no claim of a name, or the report cannot be written.
    """
    report = None if report is None else pf.html_file(report, "report")
    names = select(names, claim_names())
    rows, table = [], None if as_json else Table(names)
    for row in spread(partial(examine, draw=report is not None), names, processes(names)):
        rows.append(row)
        if table:
            table.add(row)
    if as_json:
        print(json.dumps([row.record() for row in rows], indent=2, ensure_ascii=False, allow_nan=False))
    else:
        table.close()
    if report is not None:
        write_report(rows, report)
        print(f"The report is {report}", file=sys.stderr)
    return 1 if any(row.contrary for row in rows) else 0


def add_arguments(parser):
    """Give a parser the arguments of the ledger; the command line of particleflow has the same."""
    parser.add_argument("names", metavar="NAME", nargs="*", help="claims to examine (default: all)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--report", metavar="FILE.html", help="also write a page with the figures")


def main(arguments=None):
    """Be ``python -m validation``; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m validation", description="Examine the claims of the ledger.")
    add_arguments(parser)
    options = parser.parse_args(arguments)
    try:
        return run(options.names, as_json=options.json, report=options.report)
    except pf.InvalidInput as error:
        print(f"validation: error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("validation: interrupted", file=sys.stderr)
        return 130
