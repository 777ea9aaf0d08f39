"""Results on disk, one file a run, and the processes that make them: an interrupted study goes on where it was."""

import multiprocessing
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

import numpy as np

from validation.study.training import train

_SERIES = ("iteration", "time", "test_error", "risk", "regularization", "rows")


def load(folder, run):
    """Return the stored arrays of a run, or None where there are none, or none that can be trusted."""
    try:
        with np.load(Path(folder) / run.file, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        if str(arrays.pop("settings")) != run.describe():
            return None
        series = [arrays[name] for name in _SERIES if name in arrays]
        whole = all(np.isfinite(array).all() for array in arrays.values())
        return arrays if whole and "cpu" in arrays and len({array.shape for array in series}) <= 1 else None
    except Exception:  # a damaged archive raises whatever its damage leads to
        return None


def make(folder, run):
    """Compute a run and store it; a file has its name only when it is complete."""
    arrays = train(run)
    path = Path(folder) / run.file
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        np.savez_compressed(file, settings=run.describe(), **arrays)
    part.replace(path)
    return run


def compute(folder, runs, processes):
    """Return the results of runs as a dict of run → arrays: stored ones as they are, the others computed and stored."""
    found = {run: load(folder, run) for run in runs}
    missing = sorted((run for run in runs if found[run] is None), key=lambda run: (run.seed, -run.cost))
    print(f"{len(runs)} runs, {len(runs) - len(missing)} of them stored", flush=True)
    for run in _made(folder, missing, processes):
        found[run] = load(folder, run)
        if found[run] is None:
            raise RuntimeError(f"{run.file} could not be read back from {folder}")
    return found


def _made(folder, runs, processes):
    """Yield runs as they are finished, with a line of progress each."""
    progress = Progress(runs)
    if processes == 1:
        for run in runs:
            yield progress.line(make(folder, run))
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(processes, max(1, len(runs))), mp_context=context) as pool:
        try:
            for future in as_completed([pool.submit(make, folder, run) for run in runs]):
                yield progress.line(future.result())
        finally:
            pool.shutdown(cancel_futures=True)


class Progress:
    """Lines of progress with the time left, from what the finished runs took.

    Parameters
    ----------
    runs : list of Run
        All that are to come.
    """

    def __init__(self, runs):
        self.count, self.total = len(runs), sum(run.cost for run in runs)
        self.finished, self.cost, self.begin = 0, 0.0, time.monotonic()

    def line(self, run):
        """Print one line and return the run."""
        self.finished, self.cost = self.finished + 1, self.cost + run.cost
        passed = time.monotonic() - self.begin
        left = f", about {passed * (self.total - self.cost) / self.cost / 60:.1f} min left" if self.cost else ""
        print(f"[{self.finished}/{self.count}] {run.title} ({passed:.0f} s{left})", flush=True)
        return run
