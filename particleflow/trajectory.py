"""Trajectories read from disk, lazily (schema: docs/trajectory.md); `particleflow.storage` writes them."""

import json
import warnings
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

import h5py

from particleflow.errors import InvalidInput, TrajectoryError
from particleflow.integrators.state import MEMORY
from particleflow.journal import recover
from particleflow.measure import EmpiricalMeasure, Layout
from particleflow.toml import loads

FORMAT, FORMAT_VERSION = "particleflow-trajectory", 2
SLOTS = ("even", "odd")
"""Checkpoints lie in the slot of their frame, so that one is whole while the other is written."""


def is_trajectory(path):
    """Return whether the file is a trajectory, of any version."""
    try:
        with h5py.File(path, "r") as file:
            return _text(file.attrs.get("format")) == FORMAT
    except OSError:
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
        try:
            if not self.path.is_file():
                raise TrajectoryError(f"{str(self.path)!r} does not exist or is not a file")
            recover(self.path)
            self._file = _open(self.path)
        except OSError as error:
            raise TrajectoryError(f"{self.path.name!r} cannot be opened as HDF5: {error}") from None
        try:
            with self._reading():
                self._read_header()
        except TrajectoryError:
            self._file.close()
            raise

    @contextmanager
    def _reading(self):
        try:
            yield
        except (AttributeError, LookupError, ValueError, TypeError, OSError, RuntimeError) as error:
            raise TrajectoryError(f"{self.path.name!r} is damaged, or being written right now: {error}") from None

    def _read_header(self):
        attributes, name = self._file.attrs, repr(self.path.name)
        if _text(attributes.get("format")) != FORMAT:
            raise TrajectoryError(f"{name} is an HDF5 file but not a particleflow trajectory")
        self.format_version = int(attributes["format_version"])
        if self.format_version > FORMAT_VERSION:
            raise TrajectoryError(
                f"{name} has format version {self.format_version}; this particleflow reads up to {FORMAT_VERSION}"
            )
        self.status, self.message = _text(attributes["status"]), _text(attributes["message"])
        self.t_end, self.seed = float(attributes["t_end"]), int(attributes["seed"])
        self.fingerprint = _text(attributes["fingerprint"])
        self.versions = json.loads(_text(attributes["versions"]))
        self.created = _text(attributes["created"])
        self.seconds = float(attributes["seconds"]) if "seconds" in attributes else None
        needed = ("time", "particles", "observables/time", "checkpoint", "config")
        if missing := [part for part in needed if part not in self._file]:
            raise TrajectoryError(f"{name} is damaged: it holds no {', '.join(missing)}")
        self.config_text = _text(self._file["config"][()])
        self.config = loads(self.config_text)
        self._blocks = {
            key: self._file["particles"][key]
            for key in self._file["particles"]
            if self._file["particles"][key].ndim >= 2
        }
        self.layout = _read_layout(self._blocks, self._file["particles"].attrs.get("period"))
        whole = min(len(self._file["time"]), *(len(block) for block in self._blocks.values()))
        if len(self._file["time"]) > whole or any(len(block) > whole for block in self._blocks.values()):
            warnings.warn(f"{name}: the last frame is not complete; it is left out", stacklevel=3)
        self.time = self._file["time"][:whole]
        if whole == 0:
            raise TrajectoryError(f"{name} holds no frame: the flow stopped before its first one")

    @property
    def m(self):
        """The number of particles."""
        return next(iter(self._blocks.values())).shape[1]

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
        with self._reading():
            blocks = {name: block[frame] for name, block in self._blocks.items()}
            return EmpiricalMeasure(self.layout.join(blocks), self.layout)

    @cached_property
    def observables(self):
        """Everything measured, a dict of name → array; "time" holds the flow times."""
        group = self._file["observables"]
        with self._reading():
            series = [name for name in group if group[name].ndim == 1]
            whole = min(len(self), *(len(group[name]) for name in series))
            return {name: group[name][:whole] for name in sorted(series, key=lambda name: (name != "time", name))}

    @cached_property
    def checkpoint(self):
        """What the integrator knew at the last frame, a dict: the `State.memory` of `particleflow.integrators.state`.

        "frame" is the number of that frame. Where the last frame has none, its checkpoint is that of the one before.
        """
        group = self._file["checkpoint"]
        with self._reading():
            if self.format_version == 1:  # counts only
                return {name: value.item() for name, value in group.attrs.items()}
            slots = [group[slot] for slot in SLOTS if group[slot].attrs.get("frame", len(self)) < len(self)]
            slot = max(slots, key=lambda slot: slot.attrs["frame"])
            memory = {name: slot.attrs[name].item() for name in MEMORY if name in slot.attrs}
            arrays = {name: slot[name][...] if name in slot else None for name in MEMORY if name not in slot.attrs}
            return {"frame": int(slot.attrs["frame"]), **memory, **arrays}

    @cached_property
    def model(self):
        """The model of the network; None for other particles, or where the configuration does not name it."""
        from particleflow.models import MODELS, build_model

        table = self.config.get("model", {})
        if table.get("kind") not in MODELS or "activation" not in table:
            return None
        with self._reading():
            supports = self._file["model/supports"][...] if table["kind"] == "hard-synchronized" else None
            s = table["s"] if table["kind"] == "three-layer" else None
            return build_model(table["kind"], table["activation"], s=s, supports=supports)

    @cached_property
    def data(self):
        """The `Dataset` the flow ran on, or None if the file does not hold it."""
        from particleflow.datasets import Dataset

        if "X" not in self._file.get("data", ()):
            return None
        group = self._file["data"]
        attributes = group.attrs
        return Dataset(
            **{name: group[name][...] for name in ("X", "y", "X_test", "y_test")},
            features=tuple(_text(name) for name in attributes["features"]),
            target=_text(attributes["target"]),
            bias=bool(attributes["bias"]),
            x_mean=attributes["x_mean"],
            x_scale=attributes["x_scale"],
            y_mean=float(attributes["y_mean"]),
            y_scale=float(attributes["y_scale"]),
            origin=_text(attributes["origin"]),
        )

    def close(self):
        """Close the file."""
        self._file.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def __repr__(self):
        return (
            f"Trajectory({str(self.path)!r}: {len(self)} frames of {self.m} particles, t = 0 … {self.time[-1]:g}, "
            f"{self.status})"
        )


def _open(path):
    try:  # without a lock, which could keep out the flow that is writing it
        return h5py.File(path, "r", locking=False)
    except OSError:  # it is open in this very process, with a lock
        return h5py.File(path, "r")


def _read_layout(blocks, period):
    if not blocks:
        raise ValueError("it holds no particles")
    axes = {
        name: tuple(
            (scale[0].name.rpartition("/")[2], length)
            for scale, length in zip(list(block.dims)[2:], block.shape[2:], strict=True)
        )
        for name, block in sorted(blocks.items(), key=lambda item: item[1].attrs["position"])
    }
    return Layout(tuple(axes.items()), None if period is None else float(period))


def _text(value):
    return value.decode() if isinstance(value, bytes) else value
