"""One run of a sweep: carried out, and told as a row of numbers that its trajectory alone determines.

This is all that a worker does, in a process of this machine or of a cluster.
"""

import time
from functools import cache
from pathlib import Path

import numpy as np

from particleflow.certificate import certify_frame
from particleflow.config import read_config
from particleflow.errors import InvalidInput, ParticleflowError
from particleflow.flow import single_threaded_blas
from particleflow.journal import in_use
from particleflow.trajectory import Trajectory

DONE = ("finished", "stationary", "certified", "budget")
"""The statuses of a run that ended as planned: it is not run again."""
UNDONE = ("pending", "running", "interrupted")
"""The statuses of a run that has not begun, or can go on; all others tell what went wrong."""
_PAUSE = 0.05  # s


def carry_out(task):
    """Run a flow, or go on with it, and return its row.

    Parameters
    ----------
    task : dict
        "config", the configuration as TOML; "folder", what its paths are relative to; "file", its trajectory.

    Returns
    -------
    dict
        As of `row_of`. Whatever goes wrong is a status, "failed", and a message.
    """
    _one_thread()
    path = Path(task["file"])
    try:
        while in_use(path):  # the last throes of a worker that was given up, on this machine or another
            time.sleep(_PAUSE)
        if path.exists() and path.stat().st_size == 0:  # a place that was taken by a run which was killed at once
            path.unlink()
        read_config(task["config"], folder=task["folder"]).run(path, resume=True)
        return row_of(path)
    except Exception as error:
        return failure(_reason(error))


def row_of(path):
    """Return what a trajectory says of its run.

    Returns
    -------
    dict
        status, message, seconds, flow_time, fingerprint, created, versions; observables, the last value of each;
        certificate, of the last frame, with gap, relative_gap, lower_bound and verdict, or None where there is none.
        A file that is not there is a run that is "pending", one that cannot be read has "failed".
    """
    path = Path(path)
    if not path.exists():
        return {**failure("it has not begun"), "status": "pending"}
    try:
        with Trajectory(path) as trajectory:
            return {
                "status": trajectory.status,
                "message": trajectory.message,
                "seconds": trajectory.seconds,
                "flow_time": float(trajectory.time[-1]),
                "fingerprint": trajectory.fingerprint,
                "created": trajectory.created,
                "versions": trajectory.versions,
                "observables": {name: _number(values[-1]) for name, values in trajectory.observables.items()},
                "certificate": _certificate(trajectory),
            }
    except ParticleflowError as error:
        return failure(_reason(error))


def failure(reason):
    """Return the row of a run that has failed."""
    unknown = dict.fromkeys(("seconds", "flow_time", "fingerprint", "created", "versions", "certificate"))
    return {"status": "failed", "message": reason, **unknown, "observables": {}}


def _certificate(trajectory):
    if trajectory.status not in DONE:
        return None
    try:
        found = certify_frame(trajectory)
    except InvalidInput:  # there is none for this energy
        return None
    return {name: getattr(found, name) for name in ("gap", "relative_gap", "lower_bound", "verdict")}


def _number(value):
    return None if np.isnan(value) else float(value)


def _reason(error):
    text = " ".join(str(error).split())
    return text if isinstance(error, ParticleflowError) else f"{type(error).__name__}: {text}"


@cache
def _one_thread():
    """Let matrix products of this process take one thread from now on: its threads may run several flows at once."""
    import scipy.linalg  # noqa: F401 - its BLAS is limited too only if it is there

    return single_threaded_blas()
