"""Trajectories on disk: HDF5 with plain datasets and netCDF-style dimension scales (schema: docs/trajectory.md).

Everything about the run is on disk before its first step, and every frame is committed when it is taken: whatever kills
the process, the file holds the frames before (`particleflow.journal`).
"""

import hashlib
import json
import os
import platform
from contextlib import contextmanager, suppress
from datetime import datetime, timezone
from pathlib import Path

import h5py
import numpy as np

import particleflow
from particleflow.errors import InvalidInput, TrajectoryError
from particleflow.integrators.state import ARRAYS, COUNTS
from particleflow.journal import JournaledFile, forget
from particleflow.observers import Observer
from particleflow.trajectory import FORMAT, FORMAT_VERSION, SLOTS, is_trajectory

_CHUNK_BYTES = 2**20
_DATA_BYTES = 2**28
_LIBVER = "v108", "v108"  # any number of features as an attribute
_GROWING = ("contact",)  # dimensions


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
    resume : bool
        Append to the trajectory of that name.

    Raises
    ------
    InvalidInput
        If the file exists, or cannot be created there.
    TrajectoryError
        If the file cannot be written.
    """

    def __init__(self, path, *, overwrite=False, config=None, resume=False):
        self.path = Path(path)
        self._config = config
        self._overwrite = overwrite
        self._file = None
        if not resume:
            check_output(self.path, overwrite)

    def start(self, info):
        """Put everything known before the first step on disk."""
        config = self._config if self._config is not None else described(info)
        self._layout, self._past_seconds = info.measure.layout, 0.0
        if info.past is None:
            self._create(info, config)
        else:
            self._past_seconds = info.past.seconds
            self._append_to(info, config)

    def _create(self, info, config):
        # A new file takes its name only when it is complete, so that an old one is never half replaced.
        new = self.path.with_name(f"{self.path.name}.{os.getpid()}.part")
        try:
            with h5py.File(new, "w", libver=_LIBVER) as file:
                _write_header(file, info, config)
            if not self._overwrite:
                self.path.open("x").close()  # another run may have taken the name since it was checked
            forget(self.path)
            new.replace(self.path)
            self._open()
        except OSError as error:
            with suppress(OSError):
                new.unlink()
            if isinstance(error, FileExistsError):
                check_output(self.path, self._overwrite)
            raise TrajectoryError(f"output.file = {str(self.path)!r} cannot be written: {error}") from None

    def _append_to(self, info, config):
        try:
            self._open()
        except OSError as error:
            raise TrajectoryError(f"{str(self.path)!r} cannot be written: {error}") from None
        file = self._file
        with self._commit("the new start"):
            for dataset in (*file["particles"].values(), *file["observables"].values(), file["time"]):
                if dataset.maxshape[0] is None:
                    dataset.resize(info.past.frames, axis=0)
            file["config"][()] = config
            file.attrs.update(_running(info, config))

    def _open(self):
        self._disk = JournaledFile(self.path)
        try:
            self._file = h5py.File(self._disk, "r+", libver=_LIBVER)
        except BaseException:
            self._disk.close()
            raise

    def record(self, state, observables):
        """Append a frame and what was measured there.

        Raises
        ------
        TrajectoryError
            If it cannot be written, for example because the disk is full; the frames before it are kept.
        """
        with self._commit(f"the frame at t = {state.t:g}"):
            self._append_frame(state, observables)

    def _append_frame(self, state, observables):
        file = self._file
        for name, block in self._layout.split(state.theta).items():
            _append(file["particles"][name], block)
        group = file["observables"]
        for name in observables.keys() - group.keys():
            _create_series(group, name, group["time"])
        for name in group.keys() - {"time"}:
            _append(group[name], observables.get(name, np.nan))
        _append(group["time"], state.t)
        _write_checkpoint(file["checkpoint"], len(file["time"]), state.memory)
        _append(file["time"], state.t)

    def finish(self, result):
        """Write how the flow ended and close the file."""
        if self._file is None:
            return
        seconds = self._past_seconds + result.seconds
        try:
            with self._commit("how the flow ended"):
                self._file.attrs.update({"status": result.status, "message": result.message, "seconds": seconds})
        finally:
            with suppress(OSError, RuntimeError):  # after an error HDF5 may not be able to
                self._file.close()
            self._disk.commit()  # the length
            self._disk.close()
            self._file = None

    @contextmanager
    def _commit(self, what):
        """Make what is written inside part of the file, all of it or, after an error, nothing."""
        try:
            yield
            self._file.flush()
            self._disk.commit()
        except (OSError, RuntimeError) as error:
            self._disk.abandon()
            raise TrajectoryError(
                f"{str(self.path)!r} cannot take {what}: {error}; what was stored before is kept, and particleflow "
                "resume goes on from there"
            ) from None
        except BaseException:
            self._disk.abandon()
            raise


def described(info):
    """Return the configuration of a flow, as TOML, as its energy and its method tell it."""
    import tomli_w

    tables = {**info.energy.describe(), "flow": info.settings}
    tables["model"] = {**tables["model"], "particles": info.measure.m}
    return tomli_w.dumps(tables)


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
                raise InvalidInput(
                    f"{name} exists already; choose another name (-o), replace it with --overwrite, or go on with it: "
                    "particleflow resume"
                )
            if not is_trajectory(path):
                raise InvalidInput(f"{name} is not a particleflow trajectory, or is in use: it will not be overwritten")
        probe = path.with_name(path.name + ".part")
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise InvalidInput(f"{name} cannot be created there: {error.strerror}") from None


# --- writing ----------------------------------------------------------------------------------------------------------


def _running(info, config):
    """Return the attributes of a file whose flow is about to run."""
    return {
        "fingerprint": fingerprint(config, info.energy, info.measure, info.seed),
        "status": "running",
        "message": "the flow is running, or was killed",
        "t_end": info.t_end,
    }


def _write_checkpoint(group, frame, memory):
    """Store what the integrator knows at a frame, in the slot that the frame before does not use."""
    slot = group[SLOTS[frame % len(SLOTS)]]
    for name in COUNTS:
        slot.attrs.modify(name, memory[name])
    for name in ARRAYS:
        value = memory[name]
        if value is None:
            continue
        if name not in slot:
            axes = {"contacts": ("row", "contact"), "moments": ("moment", "particle", "parameter")}[name]
            _create_array(slot, name, np.asarray(value), "i8" if name == "contacts" else "f8", axes)
            continue
        if name == "contacts":
            slot["contact"].resize(len(value[0]), axis=0)
            slot[name].resize(len(value[0]), axis=1)
        slot[name][...] = value
    slot.attrs.modify("frame", frame)


def _write_header(file, info, config):
    file.attrs["format"] = FORMAT
    file.attrs["format_version"] = FORMAT_VERSION
    file.attrs["particleflow_version"] = particleflow.__version__
    file.attrs["versions"] = json.dumps(_versions())
    file.attrs["created"] = datetime.now(timezone.utc).isoformat(timespec="seconds")
    file.attrs["seed"] = np.uint64(info.seed)  # of noise and mini-batches
    file.attrs.update(_running(info, config))
    file.create_dataset("config", data=config, dtype=h5py.string_dtype())
    for slot in SLOTS:
        file.create_group(f"checkpoint/{slot}")
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
    """Store an array, with a dimension of its own for each axis; that of contacts may grow."""
    limits = tuple(None if axis in _GROWING else length for axis, length in zip(axes, values.shape, strict=True))
    growing = {"maxshape": limits, "chunks": (len(values), 1024)} if None in limits else {}
    dataset = group.create_dataset(name, data=values, dtype=dtype, **growing)
    for dimension, axis, length in zip(dataset.dims, axes, dataset.shape, strict=True):
        dimension.attach_scale(_create_dimension(group, axis, length))


def _create_dimension(group, name, length):
    """Create a netCDF dimension without coordinate values."""
    growing = {"maxshape": (None,), "chunks": (1024,)} if name in _GROWING else {}
    scale = group.create_dataset(name, shape=(length,), dtype="f4", **growing)  # never filled, so never stored
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
