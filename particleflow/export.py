"""Trajectories as npz and csv, for other programs."""

import csv
from contextlib import suppress
from pathlib import Path

import numpy as np

from particleflow.errors import InvalidInput


def export_trajectory(trajectory, path, *, frame=None, overwrite=False):
    """Write a trajectory to another format, chosen by the suffix.

    Parameters
    ----------
    trajectory : Trajectory
        What to convert.
    path : str or Path
        ``.npz``: ``time`` (T,), every block of the particles (T, m, …), ``observable_<name>`` and the configuration as
        text. ``.csv``: a table of the observables, one row per frame.
    frame : int, optional
        The particles of that frame instead: in npz one array per block, in csv one row per particle.
    overwrite : bool
        Replace an existing file.

    Returns
    -------
    Path

    Raises
    ------
    InvalidInput
        If the suffix is unknown, the file exists, cannot be written, or there is no such frame.
    """
    path = Path(path)
    writers = {".npz": _write_npz, ".csv": _write_csv}
    if path.suffix not in writers:
        raise InvalidInput(f"the output {path.name!r} has an unknown suffix; valid: {', '.join(writers)}")
    return _write(writers[path.suffix], _columns(trajectory, frame, flat=path.suffix == ".csv"), path, overwrite)


def export_measure(measure, path, *, overwrite=False):
    """Write a measure as ``.npz``, one array per block: what ``initial.file`` and `measure_from_file` read.

    Parameters
    ----------
    measure : EmpiricalMeasure
        What to write.
    path : str or Path
        Where; the suffix is .npz.
    overwrite : bool
        Replace an existing file.

    Returns
    -------
    Path

    Raises
    ------
    InvalidInput
        If the suffix is another, the file exists, or cannot be written.
    """
    path = Path(path)
    if path.suffix != ".npz":
        raise InvalidInput(f"the output {path.name!r} has an unknown suffix; valid: .npz")
    return _write(_write_npz, measure.layout.split(measure.particles), path, overwrite)


def _write(writer, columns, path, overwrite):
    """Let a writer make the file in one piece."""
    new = path.with_name(path.name + ".part")
    try:
        if path.exists() and not overwrite:
            raise InvalidInput(f"the output {str(path)!r} exists already; choose another name or use --overwrite")
        with new.open("wb") as file:
            writer(file, columns)
        new.replace(path)
    except OSError as error:
        with suppress(OSError):
            new.unlink()
        raise InvalidInput(f"the output {str(path)!r} cannot be written: {error.strerror}") from None
    return path


def _columns(trajectory, frame, flat):
    if frame is not None:
        blocks = trajectory.layout.split(trajectory.particles(frame).particles)
        return _flatten(blocks) if flat else blocks
    observables = trajectory.observables
    if flat:
        return observables
    frames = [trajectory.layout.split(trajectory.particles(index).particles) for index in range(len(trajectory))]
    return {
        "time": trajectory.time,
        **{name: np.stack([blocks[name] for blocks in frames]) for name in trajectory.layout.names},
        **{f"observable_{name}": values for name, values in observables.items()},
        "config": np.array(trajectory.config_text),
    }


def _flatten(blocks):
    columns = {}
    for name, block in blocks.items():
        if block.ndim == 1:
            columns[name] = block
        else:
            for index in np.ndindex(block.shape[1:]):
                columns["_".join([name, *(str(i + 1) for i in index)])] = block[(slice(None), *index)]
    return columns


def _write_npz(file, columns):
    np.savez(file, **columns)


def _write_csv(file, columns):
    import io

    text = io.TextIOWrapper(file, encoding="utf-8", newline="")
    writer = csv.writer(text)
    writer.writerow(columns)
    writer.writerows([repr(float(value)) for value in row] for row in zip(*columns.values(), strict=True))
    text.flush()
    text.detach()
