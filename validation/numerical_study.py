"""The numerical study of Lazarus 2022, §2.5.2, run again: its figures 4 to 9, and what holds of what it says of them.

``python -m validation.numerical_study [--quick] [--checks] [--seeds 5] [--iterations 1000] [--processes 2] [-o DIR]``
trains every model by Adam as the report's listing does, and along the gradient flow that its text means, and writes
DIR/index.html; with --checks, models also train with another start, regulariser, penalty or step.
Every finished training is stored in DIR: the same command goes on where it was interrupted. docs/numerical_study.md
shows what came out.
"""

import argparse
import os
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path

from validation.study.figures import draw_all
from validation.study.page import markdown, write_page
from validation.study.results import Results
from validation.study.settings import FULL, QUICK, Plan
from validation.study.store import compute


def parse(arguments):
    """Return the options."""
    parser = argparse.ArgumentParser(prog="python -m validation.numerical_study", description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="tiny sizes, two seeds: a trial of the machinery")
    parser.add_argument("--checks", action="store_true", help="also other starts, regularisers, penalties and steps")
    parser.add_argument("--seeds", type=positive, help="default: 5, quick: 2")
    parser.add_argument("--iterations", type=positive, help="of Adam (default: 1000, quick: 12)")
    parser.add_argument("--processes", type=positive, default=2, help="trainings at a time (default: 2)")
    parser.add_argument("-o", "--output", type=Path, default=Path("numerical_study"), metavar="DIR")
    return parser.parse_args(arguments)


def positive(text):
    """Return a positive integer."""
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number


def main(arguments=None):
    """Run what is not stored, and write the page."""
    options = parse(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends as Ctrl-C does, and leaves no process behind
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):  # of the processes to come
        os.environ.setdefault(name, "1")
    sizes = QUICK if options.quick else FULL
    sizes = replace(sizes, iterations=options.iterations or sizes.iterations)
    seeds = options.seeds or (2 if options.quick else 5)
    options.output.mkdir(parents=True, exist_ok=True)
    begin = time.monotonic()
    try:
        plan = Plan(sizes, {"listing": seeds, "flow": seeds})
        runs = [*plan.main_runs(), *plan.text_runs(), *(plan.checks() if options.checks else ())]
        results = Results(plan, compute(options.output, list(dict.fromkeys(runs)), options.processes))
    except KeyboardInterrupt:
        print("interrupted; the same command goes on from here", file=sys.stderr)
        return 130
    wall = time.monotonic() - begin
    footer = f"The trainings took {results.cpu:.0f} s of processor time in all; this call took {wall:.0f} s."
    page = write_page(options.output, results, draw_all(results), footer)
    report(results, footer, page)
    return 0


def report(results, footer, page):
    """Print the tables and verdicts."""
    for table in results.tables().values():
        print(f"\n{markdown(*table)}")
    print()
    for verdict in results.verdicts():
        print(f"- {verdict.mode}: {verdict.claim}: {verdict.word}. {verdict.numbers}")
    print(f"\n{footer}\n{page}")


if __name__ == "__main__":
    sys.exit(main())
