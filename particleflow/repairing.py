"""What can be saved from a trajectory that something else damaged: a copy that was cut short, a disk error.

Everything in a file carries a checksum, so what reads is what was written. What does not read is left out; the damaged
file stays as it is.
"""

import os
import shutil
import struct
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from particleflow.errors import TrajectoryError
from particleflow.hdf5 import CHECKED_SINCE, TROUBLE, check_place, checksum, create_array, create_file, text_of
from particleflow.integrators.state import ARRAYS
from particleflow.storage import check_output, create_time, write_config, write_status
from particleflow.trajectory import FORMAT, SLOTS, Trajectory

_END_OF_FILE = struct.Struct("<28xQ")  # in the superblock of HDF5, of the version that we write
_OF_HDF5 = ("axes", "CLASS", "NAME", "REFERENCE_LIST", "DIMENSION_LIST")  # attributes that come with a dataset


@dataclass(frozen=True)
class Repair:
    """What was saved.

    Attributes
    ----------
    path : Path or None
        The new file; None where the old one is whole.
    saved : tuple of int
        The frames of the old file that the new one holds, in order.
    frames : int
        How many there were.
    lost : tuple of str
        What else could not be saved, by name.
    resumable : bool
        Whether the flow can go on from the new file.
    """

    path: Path | None
    saved: tuple
    frames: int
    lost: tuple
    resumable: bool

    def to_text(self):
        """Return it in one sentence or two, for people."""
        if self.path is None:
            return f"nothing to repair: all {self.frames} frames and everything else can be read"
        gone = [k for k in range(self.frames) if k not in set(self.saved)]
        what = [*([_ranges(gone)] if gone else []), *self.lost]
        text = f"saved {len(self.saved)} of {self.frames} frames in {str(self.path)!r}"
        text += f"; lost: {', '.join(what)}" if what else ""
        return text if self.resumable else f"{text}. Its last frame has no checkpoint: the flow cannot go on from there"


def repair(path, output=None, *, overwrite=False):
    """Save what can be read of a damaged trajectory in a new file.

    Parameters
    ----------
    path : str or Path
        The damaged file, which is not changed.
    output : str or Path, optional
        The new file; by default ``run-repaired.h5`` beside ``run.h5``.
    overwrite : bool
        Replace a trajectory of that name.

    Returns
    -------
    Repair
        What was saved; no file is written if nothing is wrong.

    Raises
    ------
    InvalidInput
        If the new file cannot be created there.
    TrajectoryError
        If nothing can be saved.
    """
    path = Path(path)
    if (whole := _frames_if_whole(path)) is not None:
        return Repair(None, tuple(range(whole)), whole, (), True)
    output = path.with_name(f"{path.stem}-repaired{path.suffix}") if output is None else Path(output)
    check_output(output, overwrite)
    copy, new = (output.with_name(f"{output.name}.{os.getpid()}.{part}") for part in ("damaged", "part"))
    try:
        _copy_in_full_length(path, copy)
        with h5py.File(copy, "r") as source:
            _check_format(source)
            with create_file(new) as target:
                saved, frames, lost = _save(source, target)
        resumable = _is_resumable(new)
        new.replace(output)
    except TROUBLE as error:
        raise TrajectoryError(f"nothing can be saved from {path.name!r}: {error}") from None
    finally:
        for file in (copy, new):
            file.unlink(missing_ok=True)
    return Repair(output, saved, frames, lost, resumable)


def _frames_if_whole(path):
    """Return the number of frames of a file in which everything can be read, otherwise None."""
    try:
        with Trajectory(path) as trajectory:
            for frame in range(len(trajectory)):
                trajectory.particles(frame)
            _ = trajectory.observables, trajectory.checkpoint, trajectory.data, trajectory.model
            return len(trajectory)
    except TrajectoryError:
        if not path.is_file():
            raise
        return None


def _copy_in_full_length(path, copy):
    """Copy a file and, if it was cut short, fill it up: HDF5 opens none that is shorter than it should be.

    Zeros are neither valid metadata nor, thanks to the checksums, valid data.
    """
    shutil.copyfile(path, copy)
    with copy.open("r+b") as file:
        start = file.read(_END_OF_FILE.size)
        size = file.seek(0, os.SEEK_END)
        if len(start) == _END_OF_FILE.size and size < (end := _END_OF_FILE.unpack(start)[0]):
            file.truncate(end)


def _check_format(file):
    if text_of(file.attrs.get("format")) != FORMAT:
        raise TrajectoryError("it is not a particleflow trajectory")
    if file.attrs["format_version"] < CHECKED_SINCE:
        raise TrajectoryError(
            "it was written by an older particleflow, whose files hold no checksums to tell the damage"
        )


def _save(source, target):
    """Copy what can be read; return the frames that were, how many there are, and the names of what is lost."""
    lost = []
    _copy_attributes(source, target)
    try:
        config = text_of(source["config"][()])
        intact = source["config"].attrs["crc32"] == checksum(config)
    except TROUBLE:
        intact = False
    if not intact:
        lost.append("config")
    write_config(target, config if intact else "")
    times, saved = _readable_frames(source)
    if not saved:
        raise TrajectoryError(f"none of its {len(times)} frames can be read")
    for group in (target, target.create_group("observables")):
        create_time(group)
        group["time"].resize(len(saved), axis=0)
        group["time"][...] = times[saved]
    for name in ("particles", "observables", "data", "model"):
        _copy_group(source, target, name, saved, lost)
    _copy_checkpoints(source, target, saved)
    if saved[-1] != len(times) - 1:
        message = f"a repair saved {len(saved)} of {len(times)} frames"
        write_status(target.attrs, "interrupted", message, target.attrs.get("seconds", np.nan))
    return tuple(saved), len(times), tuple(lost)


def _readable_frames(source):
    """Return the flow times, NaN where lost, and the frames of which everything can be read."""
    times, _ = _series(source["time"], np.arange(len(source["time"])))
    blocks = [block for block in map(source["particles"].get, source["particles"]) if "axes" in block.attrs]
    for block in blocks:
        check_place(block)

    def readable(frame):
        try:
            return np.isfinite(times[frame]) and all(block[frame] is not None for block in blocks)
        except TROUBLE:
            return False

    return times, [frame for frame in range(len(times)) if readable(frame)]


def _series(dataset, rows):
    """Return some rows of a series, NaN where they cannot be read, and whether all of them can."""
    with suppress(*TROUBLE):
        return dataset[...][rows], True
    values, complete = np.full(len(rows), np.nan), True
    for i, row in enumerate(rows):
        try:
            values[i] = dataset[row]
        except TROUBLE:
            complete = False
    return values, complete


def _copy_group(source, target, name, saved, lost):
    """Copy a group: of what has a row for each frame those that are saved, of the rest all or nothing."""
    try:
        if name not in source:
            return
        group, new = source[name], target.require_group(name)
        _copy_attributes(group, new)
        members = [member for member in group if member not in new]
    except TROUBLE:
        lost.append(name)
        return
    before = len(lost)
    for member in members:
        try:
            if "axes" in group[member].attrs and not _copy_dataset(group[member], new, member, saved):
                lost.append(f"values of {name}/{member}")
        except TROUBLE:
            lost.append(f"{name}/{member}")
    if len(lost) > before and name not in ("particles", "observables"):
        for member in list(new):
            del new[member]


def _copy_dataset(dataset, group, name, saved):
    """Copy a dataset; return whether all of it could be read."""
    check_place(dataset)
    axes, complete = tuple(map(text_of, dataset.attrs["axes"])), True
    if axes[0] != "time":
        values = dataset[...]
        new = create_array(group, name, axes, values.shape, dataset.dtype)
        if values.size:
            new[...] = values
    elif len(axes) == 1:
        values, complete = _series(dataset, saved)
        create_array(group, name, axes, values.shape, dataset.dtype, fillvalue=np.nan)[...] = values
    else:
        new = create_array(group, name, axes, (len(saved), *dataset.shape[1:]), dataset.dtype)
        for i, frame in enumerate(saved):
            new[i] = dataset[frame]
    _copy_attributes(dataset, group[name])
    return complete


def _copy_checkpoints(source, target, saved):
    """Copy what the integrator knew at frames that are saved, where that can be read."""
    for slot in SLOTS:
        new = target.create_group(f"checkpoint/{slot}")
    for slot in SLOTS:
        with suppress(*TROUBLE):
            old = source["checkpoint"][slot]
            arrays = {name: old[name][...] for name in ARRAYS if name in old}
            index = saved.index(old.attrs["frame"])  # ValueError if it is lost
            new = target["checkpoint"][SLOTS[index % len(SLOTS)]]
            for name, values in arrays.items():
                axes = tuple(map(text_of, old[name].attrs["axes"]))
                create_array(new, name, axes, values.shape, values.dtype)[...] = values
            _copy_attributes(old, new)
            new.attrs.modify("frame", index)


def _copy_attributes(source, target):
    for name in source.attrs:
        dtype = source.attrs.get_id(name).dtype
        if name not in _OF_HDF5 and dtype.kind != "O":
            target.attrs.create(name, source.attrs[name], dtype=dtype)


def _is_resumable(path):
    """Return whether a file, which must be a trajectory, knows how the flow goes on from its last frame."""
    with Trajectory(path) as trajectory:
        try:
            return trajectory.checkpoint["frame"] == len(trajectory) - 1
        except TrajectoryError:
            return False


def _ranges(numbers):
    """Return numbers in ascending order as text, runs of them in short."""
    runs = []
    for k in numbers:
        if runs and runs[-1][1] == k - 1:
            runs[-1][1] = k
        else:
            runs.append([k, k])
    parts = [f"{low}" if low == high else f"{low} to {high}" for low, high in runs]
    return f"frame{'s' if len(numbers) > 1 else ''} {', '.join(parts)}"
