"""A live view of a trajectory that another process is writing, which it neither blocks nor disturbs."""

import sys
import time

from particleflow.errors import TrajectoryError
from particleflow.journal import in_use
from particleflow.trajectory import Trajectory

_PAUSE = 1.0  # s between two looks


def watch(path, *, out=None, pause=_PAUSE):
    """Print how a flow stands whenever it has stored a frame, until it ends or its process is gone.

    A terminal shows one line that changes; elsewhere every look that finds news is a line of its own. The time left
    extrapolates the pace of the flow time since this began, so it is known from the second frame seen on.

    Parameters
    ----------
    path : str or Path
        The trajectory.
    out : text file, optional
        Where to print, by default standard output.
    pause : float
        Seconds between two looks.

    Returns
    -------
    str
        The status of the file in the end: "running" if the process that wrote it was killed.

    Raises
    ------
    TrajectoryError
        If the file is missing, is not a trajectory, or is damaged.
    """
    out = sys.stdout if out is None else out
    first, shown = None, None
    while True:
        alive = in_use(path)
        try:
            with Trajectory(path) as trajectory:
                now = time.monotonic(), trajectory.time[-1]
                status, message = trajectory.status, trajectory.message
                first = first or now
                if (len(trajectory), status) != shown:
                    shown = len(trajectory), status
                    _print(_line(trajectory, _time_left(first, now, trajectory.t_end)), out)
        except TrajectoryError:
            if not (alive and shown is None):  # its first frame is still to come
                raise
            status = message = "running"
        if status != "running" or not alive:
            ended = message if status != "running" else "its process is gone; go on with: particleflow resume"
            print(f"{chr(10) if out.isatty() else ''}{status}: {ended}", file=out)
            return status
        time.sleep(pause)


def _time_left(first, now, t_end):
    """Return the seconds that are left at the pace between two looks, (clock, flow time) each; None if unknown."""
    seconds, advance = now[0] - first[0], now[1] - first[1]
    return (t_end - now[1]) * seconds / advance if advance > 0 else None


def _line(trajectory, seconds):
    values = {name: series[-1] for name, series in trajectory.observables.items() if len(series)}
    parts = [f"{100 * trajectory.time[-1] / trajectory.t_end:3.0f} %", f"t = {trajectory.time[-1]:.4g}"]
    parts += [
        f"{label} = {values[name]:.6g}"
        for name, label in (("energy", "L"), ("relative_gap", "relative gap"), ("test_error", "test error"))
        if name in values
    ]
    parts += [f"{len(trajectory)} frames"] + ([] if seconds is None else [f"{seconds:.0f} s left"])
    return ", ".join(parts)


def _print(line, out):
    if out.isatty():
        out.write(f"\r\x1b[K{line}")
        out.flush()
    else:
        print(line, file=out, flush=True)
