"""Trajectories on disk: HDF5 with plain datasets and netCDF-style dimension scales (schema: docs/trajectory.md).

Everything about the run is on disk before its first step, and every frame is flushed when it is taken.
"""

import hashlib
import json
import os
import platform
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path

import h5py
import numpy as np

import particleflow
from particleflow.errors import InvalidInput, TrajectoryError
from particleflow.observers import Observer
from particleflow.trajectory import FORMAT, FORMAT_VERSION, is_trajectory

_CHUNK_BYTES = 2**20
_DATA_BYTES = 2**28


def fingerprint(config_text, energy, measure, seed=0):
    """Return what identifies a run: SHA-256 (hex) of its configuration, data, initial particles and seed."""
    digest = hashlib.sha256(config_text.encode())
    data = getattr(energy, "data", None)
    digest.update(data.hash.encode() if data is not None else b"")
    digest.update(np.ascontiguousarray(getattr(energy, "teacher", ())).tobytes())
    digest.update(np.ascontiguousarray(_supports(energy)).tobytes())
    digest.update(np.ascontiguousarray(measure.particles).tobytes())
    digest.update(str(seed).encode())
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


# --- writing ----------------------------------------------------------------------------------------------------------


def _write_header(file, info, config):
    file.attrs["format"] = FORMAT
    file.attrs["format_version"] = FORMAT_VERSION
    file.attrs["particleflow_version"] = particleflow.__version__
    file.attrs["versions"] = json.dumps(_versions())
    file.attrs["created"] = datetime.now(timezone.utc).isoformat(timespec="seconds")
    file.attrs["fingerprint"] = fingerprint(config, info.energy, info.measure, info.seed)
    file.attrs["status"] = "running"
    file.attrs["message"] = "the flow is running, or was killed"
    file.attrs["t_end"] = info.t_end
    file.attrs["seed"] = np.uint64(info.seed)  # of noise and mini-batches
    file.create_dataset("config", data=config, dtype=h5py.string_dtype())
    file.create_group("checkpoint")
    time = _create_time(file)
    particles = file.create_group("particles")
    _create_dimension(particles, "particle", info.measure.m)
    if info.measure.layout.period is not None:
        particles.attrs["period"] = info.measure.layout.period
    for name, axes in info.measure.layout.blocks:
        _create_block(particles, name, axes, info.measure.m, time)
    _create_time(file.create_group("observables"))
    data = getattr(info.energy, "data", None)
    if data is not None:
        _write_data(file.create_group("data"), data)
    if hasattr(info.energy, "teacher"):
        _create_array(file.create_group("data"), "teacher", info.energy.teacher, "f8", ("neuron", "parameter"))
    if len(_supports(info.energy)):
        _create_array(file.create_group("model"), "supports", _supports(info.energy), "i8", ("cluster", "place"))


def _supports(energy):
    """Return what the clusters of a hard-synchronised network read, empty for other energies."""
    return getattr(getattr(energy, "model", None), "supports", ())


def _create_time(group):
    time = group.create_dataset("time", shape=(0,), maxshape=(None,), chunks=(1024,), dtype="f8")
    time.make_scale("time")
    time.attrs["long_name"] = "flow time"
    return time


def _create_array(group, name, values, dtype, axes):
    """Store an array, with a dimension of its own for each axis."""
    dataset = group.create_dataset(name, data=values, dtype=dtype)
    for dimension, axis, length in zip(dataset.dims, axes, dataset.shape, strict=True):
        dimension.attach_scale(_create_dimension(group, axis, length))


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
