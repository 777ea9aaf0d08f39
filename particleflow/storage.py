"""Trajectories on disk: HDF5 with plain datasets and netCDF-style dimension scales (schema: docs/trajectory.md).

Everything about the run is on disk before its first step, and every frame is flushed when it is taken.
"""

import hashlib
import json
import os
import platform
import warnings
from contextlib import contextmanager, suppress
from datetime import datetime, timezone
from functools import cached_property
from pathlib import Path

import h5py
import numpy as np

import particleflow
from particleflow.errors import InvalidInput, TrajectoryError
from particleflow.measure import EmpiricalMeasure, Layout
from particleflow.observers import Observer
from particleflow.toml import loads

FORMAT, FORMAT_VERSION = "particleflow-trajectory", 1
_CHUNK_BYTES = 2**20
_DATA_BYTES = 2**28


def fingerprint(config_text, energy, measure):
    """Return what identifies a run: SHA-256 (hex) of its configuration, its data and its initial particles."""
    digest = hashlib.sha256(config_text.encode())
    data = getattr(energy, "data", None)
    digest.update(data.hash.encode() if data is not None else b"")
    digest.update(np.ascontiguousarray(getattr(energy, "teacher", ())).tobytes())
    digest.update(np.ascontiguousarray(measure.particles).tobytes())
    return digest.hexdigest()


class TrajectoryWriter(Observer):
    """The observer that stores a flow.

    Parameters
    ----------
    path : str or Path
        The file to create; its folder must exist.
    overwrite : bool
        Replace an existing trajectory of that name (never a file of another kind).
    config : str, optional
        The configuration as TOML text; by default what the energy and the flow tell of themselves.

    Raises
    ------
    InvalidInput
        If the file exists, or cannot be created there.
    """

    def __init__(self, path, *, overwrite=False, config=None):
        self.path = Path(path)
        self._config = config
        self._overwrite = overwrite
        self._file = None
        check_output(self.path, overwrite)

    def start(self, info):
        """Put everything known before the first step on disk."""
        import tomli_w

        described = {**info.energy.describe(), "flow": info.settings}
        described["model"] = {**described["model"], "particles": info.measure.m}
        config = self._config if self._config is not None else tomli_w.dumps(described)
        # A new file takes its name only when it is complete, so that an old one is never half replaced.
        new = self.path.with_name(f"{self.path.name}.{os.getpid()}.part")
        try:
            with h5py.File(new, "w", libver=("v108", "v108")) as file:  # 1.8: any number of features
                _write_header(file, info, config)
            if not self._overwrite:
                self.path.open("x").close()  # another run may have taken the name since it was checked
            new.replace(self.path)
            self._file = h5py.File(self.path, "r+")
        except OSError as error:
            with suppress(OSError):
                new.unlink()
            if isinstance(error, FileExistsError):
                check_output(self.path, self._overwrite)
            raise TrajectoryError(f"output.file = {str(self.path)!r} cannot be written: {error}") from None
        self._layout = info.measure.layout

    def record(self, state, observables):
        """Append a frame and what was measured there, and flush."""
        file = self._file
        for name, block in self._layout.split(state.theta).items():
            _append(file["particles"][name], block)
        group = file["observables"]
        for name in observables.keys() - group.keys():
            _create_series(group, name, group["time"])
        for name in group.keys() - {"time"}:
            _append(group[name], observables.get(name, np.nan))
        _append(group["time"], state.t)
        _append(file["time"], state.t)
        checkpoint = file["checkpoint"].attrs
        for name in ("t", "dissipated", "step", "error", "steps", "rejected", "evaluations"):
            checkpoint[name] = getattr(state, name)
        file.flush()

    def finish(self, result):
        """Write how the flow ended and close the file."""
        if self._file is None:
            return
        attributes = {"status": result.status, "message": result.message, "seconds": result.seconds}
        self._file.attrs.update(attributes)
        self._file.close()


def check_output(path, overwrite):
    """Raise `InvalidInput` unless a trajectory can be created at that path."""
    path = Path(path)
    name = f"output.file = {str(path)!r}"
    try:
        if path.is_dir():
            raise InvalidInput(f"{name} is a directory; name a file in it")
        if not path.parent.is_dir():
            raise InvalidInput(f"{name}: the directory {str(path.parent)!r} does not exist")
        if path.exists():
            if not overwrite:
                raise InvalidInput(f"{name} exists already; choose another name (-o) or replace it with --overwrite")
            if not is_trajectory(path):
                raise InvalidInput(f"{name} is not a particleflow trajectory, or is in use: it will not be overwritten")
        probe = path.with_name(path.name + ".part")
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise InvalidInput(f"{name} cannot be created there: {error.strerror}") from None


def is_trajectory(path):
    """Return whether the file is a trajectory, of any version."""
    try:
        with h5py.File(path, "r") as file:
            return _text(file.attrs.get("format")) == FORMAT
    except OSError:
        return False


# --- writing ----------------------------------------------------------------------------------------------------------


def _write_header(file, info, config):
    file.attrs["format"] = FORMAT
    file.attrs["format_version"] = FORMAT_VERSION
    file.attrs["particleflow_version"] = particleflow.__version__
    file.attrs["versions"] = json.dumps(_versions())
    file.attrs["created"] = datetime.now(timezone.utc).isoformat(timespec="seconds")
    file.attrs["fingerprint"] = fingerprint(config, info.energy, info.measure)
    file.attrs["status"] = "running"
    file.attrs["message"] = "the flow is running, or was killed"
    file.attrs["t_end"] = info.t_end
    file.create_dataset("config", data=config, dtype=h5py.string_dtype())
    file.create_group("checkpoint")
    time = _create_time(file)
    particles = file.create_group("particles")
    _create_dimension(particles, "particle", info.measure.m)
    for name, axes in info.measure.layout.blocks:
        _create_block(particles, name, axes, info.measure.m, time)
    _create_time(file.create_group("observables"))
    data = getattr(info.energy, "data", None)
    if data is not None:
        _write_data(file.create_group("data"), data)
    if hasattr(info.energy, "teacher"):
        file.create_dataset("data/teacher", data=info.energy.teacher, dtype="f8")


def _create_time(group):
    time = group.create_dataset("time", shape=(0,), maxshape=(None,), chunks=(1024,), dtype="f8")
    time.make_scale("time")
    time.attrs["long_name"] = "flow time"
    return time


def _create_dimension(group, name, length):
    """Create a netCDF dimension without coordinate values."""
    scale = group.create_dataset(name, shape=(length,), dtype="f4")  # never filled, so never stored
    scale.make_scale(f"This is a netCDF dimension but not a netCDF variable.{length:10d}")
    return scale


def _create_block(group, name, axes, m, time):
    lengths = tuple(length for _, length in axes)
    row = 8 * int(np.prod(lengths, dtype=np.int64))
    rows = max(1, min(m, _CHUNK_BYTES // row))
    block = group.create_dataset(
        name, shape=(0, m, *lengths), maxshape=(None, m, *lengths), chunks=(1, rows, *lengths), dtype="f8"
    )
    block.attrs["position"] = sum(1 for other in group.values() if other.ndim > 1) - 1
    scales = [time, group["particle"]]
    for axis, length in axes:
        scales.append(group[axis] if axis in group else _create_dimension(group, axis, length))
    for dimension, scale in zip(block.dims, scales, strict=True):
        dimension.attach_scale(scale)


def _create_series(group, name, time):
    missing = time.shape[0]
    series = group.create_dataset(
        name, shape=(missing,), maxshape=(None,), chunks=(1024,), dtype="f8", fillvalue=np.nan
    )
    series.dims[0].attach_scale(time)


def _append(dataset, value):
    dataset.resize(dataset.shape[0] + 1, axis=0)
    dataset[-1] = value


def _write_data(group, data):
    group.attrs["origin"] = data.origin
    group.attrs["hash"] = data.hash
    group.attrs["target"] = data.target
    group.attrs["features"] = list(data.features)
    group.attrs["bias"] = data.bias
    for name in ("x_mean", "x_scale", "y_mean", "y_scale"):
        group.attrs[name] = getattr(data, name)
    arrays = {name: getattr(data, name) for name in ("X", "y", "X_test", "y_test")}
    if sum(array.nbytes for array in arrays.values()) > _DATA_BYTES:
        return  # hash and origin say which data they were
    _create_dimension(group, "sample", data.n)
    _create_dimension(group, "test_sample", data.n_test)
    _create_dimension(group, "feature", data.d)
    for name, array in arrays.items():
        dataset = group.create_dataset(name, data=array, dtype="f8")
        dataset.dims[0].attach_scale(group["test_sample" if name.endswith("test") else "sample"])
        if array.ndim == 2:
            dataset.dims[1].attach_scale(group["feature"])


def _versions():
    import numba
    import scipy

    return {
        "particleflow": particleflow.__version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "numba": numba.__version__,
        "scipy": scipy.__version__,
        "h5py": h5py.__version__,
        "hdf5": h5py.version.hdf5_version,
    }


# --- reading ----------------------------------------------------------------------------------------------------------


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
        self.t_end = float(attributes["t_end"])
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
        self.layout = _read_layout(self._blocks)
        whole = min(len(self._file["time"]), *(len(block) for block in self._blocks.values()))
        if len(self._file["time"]) > whole or any(len(block) > whole for block in self._blocks.values()):
            warnings.warn(f"{name}: the last frame was torn when writing stopped; it is left out", stacklevel=3)
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
            whole = min(len(group[name]) for name in series)
            return {name: group[name][:whole] for name in sorted(series, key=lambda name: (name != "time", name))}

    @cached_property
    def checkpoint(self):
        """Counts and the controller's memory at the last frame, a dict."""
        return {name: value.item() for name, value in self._file["checkpoint"].attrs.items()}

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


def _read_layout(blocks):
    if not blocks:
        raise ValueError("it holds no particles")
    axes = {
        name: tuple(
            (scale[0].name.rpartition("/")[2], length)
            for scale, length in zip(list(block.dims)[2:], block.shape[2:], strict=True)
        )
        for name, block in sorted(blocks.items(), key=lambda item: item[1].attrs["position"])
    }
    return Layout(tuple(axes.items()))


def _text(value):
    return value.decode() if isinstance(value, bytes) else value
