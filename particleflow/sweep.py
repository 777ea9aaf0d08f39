"""Sweeps: every run of a sweep carried out by workers, each into its own trajectory, and all told in an index.

A sweep begins by looking at what its folder holds. Runs that have ended as planned stay as they are; those that were
stopped half-way go on, bit for bit as if nothing had happened; the others begin.
"""

import math
import sys
import time
from contextlib import ExitStack
from pathlib import Path

from particleflow.errors import InvalidInput
from particleflow.journal import held
from particleflow.local_workers import LocalWorkers
from particleflow.sweep_config import SweepConfig, load_sweep, read_sweep
from particleflow.sweep_index import NAME, RUNS, Index, is_sweep
from particleflow.sweep_runs import DONE
from particleflow.sweep_summary import Sweep
from particleflow.toml import differences

_PAUSE = 5.0  # s at least between two writings of the index


def run_sweep(sweep, folder=None, *, workers=None, scheduler=None, progress=False):
    """Carry out a sweep, or what is left of it.

    Parameters
    ----------
    sweep : str, Path or SweepConfig
        A TOML file with a table [sweep], or what `load_sweep` has read.
    folder : str or Path, optional
        Where the trajectories and the index go; made if need be. By default beside the file, under its name without
        ".toml".
    workers : int, optional
        How many processes of this machine; by default one for each core, fewer where the memory is small.
    scheduler : str, optional
        The address of a Dask scheduler, such as "tcp://host:8786", whose workers carry out the runs instead; they need
        the folder under the same name.
    progress : bool
        Tell on standard error how many runs are done and how long the others will take.

    Returns
    -------
    Sweep
        A run that failed is a row of it, with the reason. Ctrl-C stores the flows under way and raises
        KeyboardInterrupt; the same call goes on.

    Raises
    ------
    InvalidInput
        If a run of the sweep cannot be run, the folder cannot be used or holds another sweep, or the scheduler cannot
        be reached: nothing has begun then.
    MissingPackage
        If a scheduler is given and Dask is not installed.
    TrajectoryError
        If the index cannot be read or written.
    """
    if workers is not None and scheduler is not None:
        raise InvalidInput(f"workers = {workers} are processes of this machine: they do not go with a scheduler")
    with ExitStack() as stack:
        executor = None
        if scheduler is None:  # they are on their way while the sweep is read and checked
            executor = stack.enter_context(LocalWorkers(workers))
        if not isinstance(sweep, SweepConfig):
            folder = Path(sweep).with_suffix("") if folder is None else folder
            sweep = load_sweep(sweep)
        elif folder is None:
            raise InvalidInput("a sweep that comes from no file needs a folder")
        runs, folder = sweep.runs, Path(folder)
        if scheduler is not None:
            from particleflow.dask_workers import DaskWorkers

            executor = stack.enter_context(DaskWorkers(scheduler))
        _check_folder(folder, sweep)
        if not stack.enter_context(held(folder)):
            raise InvalidInput(f"the folder {str(folder)!r} is in use: another process carries out its sweep")
        index = _index(folder, sweep, runs)
        executor.check(folder / NAME)
        _carry_out(index, runs, executor, progress)
    return Sweep(folder)


def _check_folder(folder, sweep):
    """Raise `InvalidInput` unless the folder is new, or holds a sweep of the same base configuration."""
    name = f"the folder {str(folder)!r}"
    try:
        if folder.exists() and not folder.is_dir():
            raise InvalidInput(f"{name} is a file; name a folder for the sweep (-o)")
        new = not is_sweep(folder)
        if new and ((folder / NAME).exists() or (folder / RUNS).exists()):
            raise InvalidInput(f"{name} holds {NAME} or {RUNS} that are no sweep's; name another (-o)")
        (folder / RUNS).mkdir(parents=True, exist_ok=True)
        probe = folder / f"{NAME}.probe"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise InvalidInput(f"{name} cannot be written to: {error.strerror}") from None
    if new:
        return
    other = read_sweep(Index.read(folder).config)
    swept = sweep.values.keys() | other.values.keys()
    base, stored = ({k: v for k, v in one.base.items() if k != "output"} for one in (sweep, other))
    if changed := [key for key in differences(base, stored) if key not in swept]:
        raise InvalidInput(
            f"{name} holds a sweep of another base configuration, which differs in {', '.join(changed)}; "
            "name another (-o)"
        )


def _index(folder, sweep, runs):
    """Return the index of the runs, with what is known of them, and put it into the folder."""
    for part in [*folder.glob("*.part"), *(folder / RUNS).glob("*.part")]:  # of processes that were killed
        part.unlink(missing_ok=True)
    index = Index(folder, sweep.to_toml(), [run.parameters for run in runs], [run.file_name for run in runs])
    if is_sweep(folder):
        index.adopt(Index.read(folder))
    index.refresh()
    index.write()
    return index


def _carry_out(index, runs, executor, progress):
    """Carry out what is left, the largest first: they need the memory, and the small ones fill the gaps at the end."""
    numbers = sorted(index.undone, key=lambda number: -runs[number].size)
    tasks = {
        number: {
            "config": runs[number].text,
            "folder": str(runs[number].config.folder.resolve()),
            "file": str(index.path(number).resolve()),
            "size": runs[number].size,
        }
        for number in numbers
    }
    bar = _Progress(len(index), {number: runs[number].config.model.particles for number in numbers}, progress)
    written = time.monotonic()
    try:
        for number, row in executor.rows(tasks):
            index.set(number, row)
            bar.advance(number, row)
            if time.monotonic() - written > _PAUSE:
                index.write()
                written = time.monotonic()
    finally:
        executor.close()
        bar.end()
        index.refresh()
        index.write()


class _Progress:
    """How many runs are done and how long the others will take, at the pace of particles so far."""

    def __init__(self, total, weights, wanted):
        self._total, self._weights, self._begin = total, dict(weights), time.monotonic()
        self._all, self._done, self._failed = sum(weights.values()), total - len(weights), 0
        self._wanted, self._terminal, self._shown = wanted and weights, sys.stderr.isatty(), -math.inf
        self._show()

    def advance(self, number, row):
        """Count a run that has ended."""
        del self._weights[number]
        self._done, self._failed = self._done + 1, self._failed + (row["status"] not in DONE)
        self._show()

    def end(self):
        """Leave the last line."""
        if self._wanted and self._terminal:
            print(file=sys.stderr)

    def _show(self):
        now = time.monotonic()
        pause = 0.1 if self._terminal else 10.0
        if not self._wanted or (now - self._shown < pause and self._weights):
            return
        self._shown = now
        left, elapsed = sum(self._weights.values()), now - self._begin
        line = f"{self._done} of {self._total} runs"
        line += f", {self._failed} failed" if self._failed else ""
        line += f", {_clock(elapsed)}"
        line += f", {_clock(elapsed * left / (self._all - left))} left" if 0 < left < self._all else ""
        print(
            f"\r\x1b[K{line}" if self._terminal else line,
            end="" if self._terminal else "\n",
            file=sys.stderr,
            flush=True,
        )


def _clock(seconds):
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{seconds:02}" if minutes >= 60 else f"{minutes}:{seconds:02}"
