"""The benchmark suite.

    python -m validation.benchmarks [ROW ...] [--quick] [--threads N] [--json FILE] [--against FILE]

Each row times our step, PyTorch's (autograd, compiled, written by hand in both layouts), NumPy's and the machine's
own limit in turns, after checking that all compute the same. PyTorch is an extra, pip install "particleflow[bench]".
With --against, the ratios are held against those that an earlier run stored with --json; a loss of more than 15 % makes
the exit code 1.
"""

import argparse
import json
import os
import sys
from pathlib import Path

from validation.processes import ONE_THREAD

LOSS = 0.85
"""A ratio below this part of the stored one is a regression; runs differ by about a tenth."""


def main():
    """Run the suite; return the exit code."""
    arguments = _parser().parse_args()
    for name in ONE_THREAD:
        os.environ[name] = str(arguments.threads)  # before the libraries are loaded
    from validation.benchmarks.contest import measure
    from validation.benchmarks.rows import ROWS

    unknown = sorted(set(arguments.rows) - {row.name for row in ROWS})
    if unknown:
        print(f"no row is called {unknown[0]!r}; there are {', '.join(row.name for row in ROWS)}", file=sys.stderr)
        return 2
    results = {}
    for row in ROWS:
        if not arguments.rows or row.name in arguments.rows:
            results[row.name] = measure(row, quick=arguments.quick, threads=arguments.threads)
            print(_lines(row.name, results[row.name]), flush=True)
    if arguments.json:
        Path(arguments.json).write_text(json.dumps({"threads": arguments.threads, "rows": results}, indent=1) + "\n")
    return _regressions(results, json.loads(Path(arguments.against).read_text())["rows"]) if arguments.against else 0


def _parser():
    parser = argparse.ArgumentParser(prog="python -m validation.benchmarks", description=__doc__.split("\n")[0])
    parser.add_argument("rows", nargs="*", metavar="ROW", help="which rows; all without any")
    parser.add_argument("--quick", action="store_true", help="few and short turns: for trying out, not for quoting")
    parser.add_argument("--threads", type=int, default=1, choices=(1, 2), help="1: processor time, 2: wall time")
    parser.add_argument("--json", metavar="FILE", help="store the figures")
    parser.add_argument("--against", metavar="FILE", help="an earlier --json FILE to hold the ratios against")
    return parser


def _lines(name, result):
    lines = [f"{name}: {result['title']}"]
    notes = [f"{result['gflops']:.1f} Gflop/s"] * (result["gflops"] > 0)
    notes += [f"{result['megabytes']:.1f} MB beside data and particles"] * (result["megabytes"] > 0)
    for variant, time in sorted(result["seconds"].items(), key=lambda item: item[1]):
        note = f"  ({', '.join(notes)})" if variant == "particleflow" and notes else ""
        lines.append(f"    {variant:28s} {1e3 * time:10.3f} ms{note}")
    for bar in result["bars"]:
        figure = f"{bar['figure']:.2f} {bar['unit']}" if bar["unit"] else f"{bar['figure']:.2f} x {bar['against']}"
        verdict = "met" if bar["met"] else "NOT met"
        lines.append(f"  {figure}  (must {bar['must']:g}, aim {bar['aim']:g}): {verdict}")
    return "\n".join(lines)


def _regressions(results, stored):
    """Print the ratios that became smaller than those stored; return 1 if there are any."""
    lost = 0
    for name, result in results.items():
        for now, then in zip(result["bars"], stored.get(name, {"bars": ()})["bars"], strict=False):
            if now["against"] and now["figure"] < LOSS * then["figure"]:
                print(f"{name}: {now['figure']:.2f} x {now['against']}, it was {then['figure']:.2f}")
                lost = 1
    return lost


if __name__ == "__main__":
    sys.exit(main())
