"""Trajectories read from disk, lazily (schema: docs/trajectory.md); `particleflow.storage` writes them."""

import json
import time
import warnings
from functools import cached_property
from pathlib import Path

import numpy as np

from particleflow.errors import InvalidInput, NoFrame, TrajectoryError
from particleflow.hdf5 import CHECKED_SINCE, TROUBLE, checksum, open_file, text_of
from particleflow.integrators.state import ARRAYS, COUNTS
from particleflow.journal import is_journaled, recover
from particleflow.measure import EmpiricalMeasure, Layout
from particleflow.notebook import card, observables_table
from particleflow.toml import loads

FORMAT, FORMAT_VERSION = "particleflow-trajectory", 3
SLOTS = ("even", "odd")
"""Checkpoints lie in the slot of their frame, so that one is whole while the other is written."""


_PATIENCE, _PAUSE = 5.0, 0.002  # s


def is_trajectory(path):
    """Return whether the file is a trajectory, of any version."""
    try:
        with open_file(path) as file:
            return text_of(file.attrs.get("format")) == FORMAT
    except TROUBLE:
        return False


class Trajectory:
    """A stored flow, read lazily; a context manager.

    Parameters
    ----------
    path : str or Path
        A file written by `particleflow.solve` or ``particleflow run``.

    Attributes
    ----------
    time : ndarray, shape (T,)
        Flow times of the frames.
    observables : dict of str → ndarray
        What was measured; "time" holds the flow times of the values.
    config : dict
        The configuration of the run.
    layout : Layout
        The blocks of a particle.
    status, message : str
        How the flow ended; "running" if it is under way or was killed.

    Raises
    ------
    TrajectoryError
        If the file is missing, is not a trajectory, or is damaged.
    """

    def __init__(self, path):
        self.path = Path(path)
        if not _is_file(self.path):
            raise TrajectoryError(f"{str(self.path)!r} does not exist or is not a file")
        self._file, self._opened_at, self._examined = None, None, False
        try:
            self._stable(self._read_header)
        except TrajectoryError:
            self.close()
            raise
        if self._torn:
            warnings.warn(f"{self.path.name!r}: the last frame is not complete; it is left out", stacklevel=2)

    def _stable(self, read):
        """Return what `read` returns, from one committed state of the file, which a flow may be writing.

        HDF5 reads a file piece by piece: if it was changed since it was opened it is opened anew, and if it changes
        meanwhile all is read again.
        """
        patience = time.monotonic() + _PATIENCE
        while True:
            failure = None
            try:
                self._refresh()
                value = read()
            except TROUBLE as error:
                failure = error
            if self._opened_at is not None and self._opened_at == _stamp(self.path):
                if failure is None:
                    return value
                break
            if time.monotonic() > patience:
                break
            time.sleep(_PAUSE)
        if isinstance(failure, TrajectoryError):
            raise failure
        what = "is written faster than it can be read" if failure is None else f"is damaged: {failure}"
        raise TrajectoryError(f"{self.path.name!r} {what}") from None

    def _refresh(self):
        stamp = _stamp(self.path)
        if self._file is not None and stamp == self._opened_at:
            return
        self.close()
        recover(self.path)
        self._opened_at = _stamp(self.path)
        try:
            self._file = open_file(self.path, examined=self._examined)
            self._examined = True
        except OSError as error:
            raise TrajectoryError(f"{self.path.name!r} cannot be opened as HDF5: {error}") from None

    def _read_header(self):
        attributes, name = self._file.attrs, repr(self.path.name)
        if text_of(attributes.get("format")) != FORMAT:
            raise TrajectoryError(f"{name} is an HDF5 file but not a particleflow trajectory")
        self.format_version = int(attributes["format_version"])
        if self.format_version > FORMAT_VERSION:
            raise TrajectoryError(
                f"{name} has format version {self.format_version}; this particleflow reads up to {FORMAT_VERSION}"
            )
        self.status, self.message = text_of(attributes["status"]), text_of(attributes["message"])
        self.t_end, self.seed = float(attributes["t_end"]), int(attributes["seed"])
        self.fingerprint = text_of(attributes["fingerprint"])
        self.versions = json.loads(text_of(attributes["versions"]))
        self.created = text_of(attributes["created"])
        seconds = float(attributes.get("seconds", np.nan))
        self.seconds = None if np.isnan(seconds) else seconds
        needed = ("time", "particles", "observables/time", "checkpoint", "config")
        if missing := [part for part in needed if part not in self._file]:
            raise TrajectoryError(f"{name} is damaged: it holds no {', '.join(missing)}")
        self.config_text = text_of(self._file["config"][()])
        if self._file["config"].attrs.get("crc32", checksum(self.config_text)) != checksum(self.config_text):
            raise TrajectoryError(f"{name} is damaged: its configuration is not what was written")
        self.config = loads(self.config_text)
        blocks = {key: block for key, block in self._file["particles"].items() if block.ndim >= 2}
        self.layout = _read_layout(blocks, self._file["particles"].attrs.get("period"))
        self.m = next(iter(blocks.values())).shape[1]
        whole = min(len(self._file["time"]), *(len(block) for block in blocks.values()))
        self._torn = len(self._file["time"]) > whole or any(len(block) > whole for block in blocks.values())
        self.time = self._file["time"][:whole]
        if whole == 0:
            raise NoFrame(f"{name} holds no frame: its flow stopped before the first one; begin it anew (--overwrite)")

    def __len__(self):
        """Return the number of frames."""
        return len(self.time)

    def particles(self, frame):
        """Return the measure of a frame (negative numbers count from the end).

        Raises
        ------
        InvalidInput
            If there is no such frame.
        """
        if not -len(self) <= frame < len(self):
            raise InvalidInput(f"frame = {frame}: valid are 0 to {len(self) - 1}, or -1 for the last")
        frame = frame % len(self)

        def read():
            group = self._file["particles"]
            return EmpiricalMeasure(
                self.layout.join({name: group[name][frame] for name in self.layout.names}), self.layout
            )

        return self._stable(read)

    @cached_property
    def observables(self):
        """Everything measured, a dict of name → array; "time" holds the flow times."""

        def read():
            group = self._file["observables"]
            series = [name for name in group if group[name].ndim == 1]
            whole = min(len(self), *(len(group[name]) for name in series))
            return {name: group[name][:whole] for name in sorted(series, key=lambda name: (name != "time", name))}

        return self._stable(read)

    def to_pandas(self):
        """Return the observables as a table of pandas: one row a frame, with the flow time as index.

        Every observable is a number a frame, hence one column.

        Returns
        -------
        pandas.DataFrame

        Raises
        ------
        MissingPackage
            If pandas is not installed.
        """
        return observables_table(self)

    @cached_property
    def checkpoint(self):
        """What the integrator knew at the last frame, a dict: the `State.memory` of `particleflow.integrators.state`.

        "frame" is the number of that frame. Where the last frame has none, its checkpoint is that of the one before.
        """

        def read():
            group, count = self._file["checkpoint"], len(self._file["time"])
            if self.format_version == 1:  # counts only
                return {name: value.item() for name, value in group.attrs.items()}
            slots = [group[slot] for slot in SLOTS if group[slot].attrs.get("frame", count) < count]
            if not slots:
                raise TrajectoryError(f"{self.path.name!r} holds no checkpoint to go on from")
            slot = max(slots, key=lambda slot: slot.attrs["frame"])
            memory = {name: slot.attrs[name].item() for name in COUNTS if name in slot.attrs}
            arrays = {name: slot[name][...] if name in slot else None for name in ARRAYS}
            return {"frame": int(slot.attrs["frame"]), **memory, **arrays}

        return self._stable(read)

    @cached_property
    def model(self):
        """The model of the network; None for other particles, or where the file does not tell it."""
        from particleflow.models import MODELS, build_model

        table = self.config.get("model", {})
        if table.get("kind") not in MODELS or "activation" not in table:
            return None

        def read():
            supports = None
            if table["kind"] == "hard-synchronized":
                if "supports" not in self._file.get("model", ()):
                    return None
                supports = self._file["model/supports"][...]
            s = table["s"] if table["kind"] == "three-layer" else None
            return build_model(table["kind"], table["activation"], s=s, supports=supports)

        return self._stable(read)

    @cached_property
    def data(self):
        """The `Dataset` the flow ran on, or None if the file does not hold it."""
        from particleflow.datasets import Dataset

        def read():
            if "X" not in self._file.get("data", ()):
                return None
            group = self._file["data"]
            attributes = group.attrs
            columns = group if self.format_version >= CHECKED_SINCE else attributes
            return Dataset(
                **{name: group[name][...] for name in ("X", "y", "X_test", "y_test")},
                **{name: columns[name][...] for name in ("x_mean", "x_scale")},
                features=tuple(text_of(name) for name in columns["features"][...]),
                target=text_of(attributes["target"]),
                bias=bool(attributes["bias"]),
                y_mean=float(attributes["y_mean"]),
                y_scale=float(attributes["y_scale"]),
                origin=text_of(attributes["origin"]),
            )

        return self._stable(read)

    def close(self):
        """Close the file."""
        if self._file is not None:
            self._file.close()
        self._file = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _repr_html_(self):
        return card(self)

    def __repr__(self):
        return (
            f"Trajectory({str(self.path)!r}: {len(self)} frames of {self.m} particles, t = 0 … {self.time[-1]:g}, "
            f"{self.status})"
        )


def _is_file(path):
    try:
        return path.is_file()
    except OSError:  # no name at all, for example one that is too long
        return False


def _stamp(path):
    """Return what changes whenever the file does; None while a commit is under way."""
    # a commit may end between two of these lines: no journal before says that the time is not that of one under way
    if is_journaled(path):
        return None
    status = path.stat()
    return None if is_journaled(path) else (status.st_mtime_ns, status.st_size, status.st_ino)


def _read_layout(blocks, period):
    if not blocks:
        raise ValueError("it holds no particles")
    ordered = sorted(blocks.items(), key=lambda item: item[1].attrs["position"])
    axes = {name: tuple(zip(_axes(block)[2:], block.shape[2:], strict=True)) for name, block in ordered}
    return Layout(tuple(axes.items()), None if period is None else float(period))


def _axes(dataset):
    """Return the names of its dimensions, which older files tell by references only."""
    if "axes" in dataset.attrs:
        return tuple(map(text_of, dataset.attrs["axes"]))
    return tuple(dimension[0].name.rpartition("/")[2] if len(dimension) else "" for dimension in dataset.dims)
