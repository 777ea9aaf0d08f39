"""Contests: variants of one computation, checked equal, then timed in turns.

Machines are noisy, so nothing here is a number of seconds to hold against another day's: a contest times all its
variants in turns, within one run, and what counts is the ratio of their medians.
"""

import time
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from threadpoolctl import ThreadpoolController

OURS = "particleflow"
PATIENCE = 60.0
PAUSE = 0.3
"""Seconds before a turn in which threads count: those of PyTorch go on spinning for 0.2 s, on somebody else's core."""
WARM_UP = 0.15
"""Seconds of such a turn before the clock starts, or one call.

An idle machine takes about 0.05 s to find a core for each thread, once in a flow.
"""


@dataclass(frozen=True)
class Bar:
    """What a row has to reach.

    Attributes
    ----------
    against : str
        A variant, or the beginning of the names of several, of which the fastest counts: "torch" is the best PyTorch.
        Empty: the bar is on the time itself, per unit of work.
    must, aim : float
        Against variants the least ratio of their time to ours; without, the longest time.
    unit : str
        Of a bar on the time: "ns" per unit of `Contest.work`, "s", or "(exponent)" for that with which it grows.
    """

    against: str
    must: float
    aim: float
    unit: str = ""


@dataclass
class Contest:
    """Variants of one computation, ready to be timed.

    Attributes
    ----------
    variants : dict of str -> callable
        Each does the whole computation once; `OURS` is the one that counts.
    results : dict of str -> callable
        What a variant has computed, as one array; only those named here are compared, with that of `OURS`.
    tolerance : float
        The largest difference allowed, relative to the largest number of the result.
    work : float
        Units of work of one computation, for bars without a peer.
    flops : float
        Floating-point operations of one computation, 0 if of no interest.
    memory : float
        Bytes that our variant asked for, 0 if of no interest; see `traced`.
    parts : dict of str -> float
        What part of the computation a variant does, where it is not the whole: its time is divided by that.
    sizes : dict of str -> float
        Where the variants are one computation at several sizes: these.
    clock : callable or None
        What tells the time, where it is not the processor's.
    """

    variants: dict[str, Callable]
    results: dict[str, Callable] = field(default_factory=dict)
    tolerance: float = 1e-10
    work: float = 1.0
    flops: float = 0.0
    memory: float = 0.0
    parts: dict[str, float] = field(default_factory=dict)
    sizes: dict[str, float] = field(default_factory=dict)
    clock: Callable | None = None


@dataclass(frozen=True)
class Row:
    """One row of the suite: how its contest is made (from whether it should be quick), and its bars."""

    name: str
    title: str
    prepare: Callable[[bool], Contest]
    bars: tuple[Bar, ...]


def traced(make):
    """Return what `make` returns, and the most memory in bytes that it held at a time beyond what was there before."""
    make()  # what is loaded once and for all does not count
    tracemalloc.start()
    made = make()
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return made, most


def check_results(contest):
    """Raise `AssertionError` unless the variants agree; each has been called equally often."""
    if OURS not in contest.results:
        return
    ours = np.asarray(contest.results[OURS](), dtype=np.float64)
    scale = np.abs(ours).max()
    for name, result in contest.results.items():
        difference = np.abs(np.asarray(result(), dtype=np.float64) - ours).max() / scale
        assert difference <= contest.tolerance, f"{name} differs from ours by {difference:.1e} of the largest number"


def seconds(contest, clock, rounds, least):
    """Return the median time of each variant: `rounds` turns, in each of which it runs for `least` seconds or once.

    After `PATIENCE` seconds three turns have to do.
    """
    times, begin = {name: [] for name in contest.variants}, clock()
    for turn in range(rounds):
        if turn >= 3 and clock() - begin > PATIENCE:
            break
        for name, run in contest.variants.items():
            if clock is time.perf_counter:
                time.sleep(PAUSE)
                _seconds(run, clock, WARM_UP)
            times[name].append(_seconds(run, clock, least))
    return {name: float(np.median(of_name)) / contest.parts.get(name, 1.0) for name, of_name in times.items()}


def _seconds(run, clock, least):
    """Return the time of a call, the mean of those that fit into `least` seconds, or of one."""
    calls, start = 0, clock()
    while calls == 0 or clock() - start < least:
        run()
        calls += 1
    return (clock() - start) / calls


def _limit_blas():
    """Let SciPy's BLAS, which our kernels call, have one thread, as in a flow; that of the peers keeps its own."""
    for library in ThreadpoolController().lib_controllers:
        if "scipy" in Path(library.filepath).parent.name:
            library.set_num_threads(1)


def measure(row, *, quick, threads):
    """Run a row: return its times, its ratios to the bars, and how much memory our variant asked for."""
    contest = row.prepare(quick)
    _limit_blas()
    for run in contest.variants.values():
        run()
    check_results(contest)
    # processor time ignores other jobs, but counts every thread
    clock = contest.clock or (time.process_time if threads == 1 else time.perf_counter)
    times = seconds(contest, clock, *((3, 0.02) if quick else (9, 0.1)))
    return {
        "title": row.title,
        "seconds": times,
        "gflops": contest.flops / times[OURS] / 1e9 if contest.flops else 0.0,
        "megabytes": contest.memory / 1e6,
        "bars": [_against(bar, times, contest) for bar in row.bars],
    }


def _against(bar, times, contest):
    if contest.sizes:
        logarithms = np.log([[contest.sizes[name], times[name]] for name in times])
        figure = float(np.polyfit(*logarithms.T, 1)[0])
        met = figure <= bar.must
    elif not bar.against:
        figure = times[OURS] / contest.work * (1e9 if bar.unit == "ns" else 1.0)
        met = figure <= bar.must
    else:
        peers = [time for name, time in times.items() if name.startswith(bar.against) and name != OURS]
        figure = min(peers) / times[OURS] if peers else float("nan")
        met = figure >= bar.must
    return {"against": bar.against, "figure": figure, "must": bar.must, "aim": bar.aim, "unit": bar.unit, "met": met}
