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
from particleflow.hdf5 import LIBVER, Growing, Numbers, checksum, create_array, create_file, text_array, write_text
from particleflow.integrators.state import ARRAYS, COUNTS
from particleflow.journal import JournaledFile, forget
from particleflow.observers import Observer
from particleflow.trajectory import FORMAT, FORMAT_VERSION, SLOTS, is_trajectory

_DATA_BYTES = 2**28
_CONFIG_ROOM, _STATUS_ROOM, _MESSAGE_ROOM = 2**12, 32, 1024  # bytes, so that new texts fit where the old ones were


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
        self._layout, self._past_seconds, self._stored = info.measure.layout, 0.0, 0
        if info.past is None:
            self._create(info, config)
        else:
            self._past_seconds, self._stored = info.past.seconds, info.past.frames
            self._append_to(info, config)

    def _create(self, info, config):
        # A new file takes its name only when it is complete, so that an old one is never half replaced.
        new = self.path.with_name(f"{self.path.name}.{os.getpid()}.part")
        try:
            with create_file(new) as file:
                _write_header(file, info, config)
            if not self._overwrite:
                _take(self.path, new)
            else:
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
            write_config(file, config)
            _write_running(file.attrs, info, config)

    def _open(self):
        self._disk, self._arrays = JournaledFile(self.path), None
        try:
            self._file = h5py.File(self._disk, "r+", libver=LIBVER)
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
        self._stored += 1

    def _append_frame(self, state, observables):
        if self._arrays is None:
            self._arrays = _Arrays(self._file, self._layout)
        self._arrays.append(state, observables)

    def finish(self, result):
        """Write how the flow ended and close the file."""
        if self._file is None:
            return
        seconds = self._past_seconds + result.seconds
        try:
            with self._commit("how the flow ended"):
                write_status(self._file.attrs, result.status, result.message, seconds)
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
            kept = "what was stored before is kept, and particleflow resume goes on from there"
            nothing = "nothing is stored yet: begin it anew (--overwrite)"
            raise TrajectoryError(
                f"{str(self.path)!r} cannot take {what}: {error}; {kept if self._stored else nothing}"
            ) from None
        except BaseException:
            self._disk.abandon()
            raise


def _take(path, new):
    """Give a complete file its name, unless another run has taken it since it was checked: that is an error."""
    if not path.exists():
        forget(path)  # the journal of a file that is gone
    try:
        os.link(new, path)
        new.unlink()
    except FileExistsError:
        raise
    except OSError:  # no links here: for a moment a reader sees an empty file
        path.open("x").close()
        new.replace(path)


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


def _write_running(attributes, info, config):
    """Write what a file tells whose flow is about to run."""
    write_text(attributes, "fingerprint", fingerprint(config, info.energy, info.measure, info.seed))
    write_status(attributes, "running", "the flow is running, or was killed", np.nan)
    attributes.modify("t_end", np.float64(info.t_end))


def write_status(attributes, status, message, seconds):
    """Write how a flow ended, where there is room for that since the beginning."""
    write_text(attributes, "status", status, _STATUS_ROOM)
    write_text(attributes, "message", message, _MESSAGE_ROOM)
    attributes.modify("seconds", np.float64(seconds))


def write_config(file, config):
    """Write the configuration, in place where it fits, and its checksum: HDF5 keeps none of a text without axes."""
    length = len(config.encode())
    value = text_array(config, _CONFIG_ROOM * -(-length // _CONFIG_ROOM))
    if "config" in file and file["config"].dtype != value.dtype:
        del file["config"]
    dataset = file.require_dataset("config", (), value.dtype, exact=True)
    dataset[()] = value
    dataset.attrs.modify("crc32", np.uint32(checksum(config)))


class _Arrays:
    """What a frame is written to: it is looked up once."""

    def __init__(self, file, layout):
        self._layout, self._blocks = layout, {name: Growing(file["particles"][name]) for name in layout.names}
        self._observables, self._frames = file["observables"], len(file["time"])
        self._series = {name: Growing(series) for name, series in self._observables.items()}
        self._time = Growing(file["time"])
        self._slots = [_Slot(file["checkpoint"][name]) for name in SLOTS]

    def append(self, state, observables):
        """Append a frame and what was measured there."""
        for name, block in self._layout.split(state.theta).items():
            self._blocks[name].append(block)
        for name in sorted(observables.keys() - self._series.keys()):
            self._series[name] = self._late(name)
        for name, series in self._series.items():
            series.append(state.t if name == "time" else observables.get(name, np.nan))
        self._slots[self._frames % len(SLOTS)].write(self._frames, state.memory)
        self._time.append(state.t)
        self._frames += 1

    def _late(self, name):
        return Growing(create_array(self._observables, name, ("time",), (self._frames,), fillvalue=np.nan))


class _Slot:
    """A place for what the integrator knows at a frame; the frame before has another."""

    def __init__(self, group):
        self._group, self._numbers, self._arrays = group, Numbers(group.attrs), dict(group)

    def write(self, frame, memory):
        """Store it."""
        for name in COUNTS:
            self._numbers[name] = memory[name]
        for name in ARRAYS:
            if memory[name] is not None:
                self._write_array(name, memory[name])
        self._numbers["frame"] = frame

    def _write_array(self, name, value):
        if name not in self._arrays:
            axes = {"contacts": ("row", "contact"), "moments": ("moment", "particle", "parameter")}[name]
            create_array(self._group, name, axes, np.shape(value), "i8" if name == "contacts" else "f8")
            self._arrays = dict(self._group)
        elif name == "contacts" and self._arrays[name].shape != np.shape(value):
            self._arrays["contact"].resize(len(value[0]), axis=0)
            self._arrays[name].resize(len(value[0]), axis=1)
        self._arrays[name][...] = value


def _write_header(file, info, config):
    for name, text in (
        ("format", FORMAT),
        ("particleflow_version", particleflow.__version__),
        ("versions", json.dumps(_versions())),
        ("created", datetime.now(timezone.utc).isoformat(timespec="seconds")),
    ):
        write_text(file.attrs, name, text)
    file.attrs["format_version"] = FORMAT_VERSION
    file.attrs["seed"] = np.uint64(info.seed)  # of noise and mini-batches
    _write_running(file.attrs, info, config)
    write_config(file, config)
    for slot in SLOTS:
        file.create_group(f"checkpoint/{slot}")
    create_time(file)
    particles, layout, m = file.create_group("particles"), info.measure.layout, info.measure.m
    if layout.period is not None:
        particles.attrs["period"] = layout.period
    for position, (name, axes) in enumerate(layout.blocks):
        names, lengths = tuple(axis for axis, _ in axes), tuple(length for _, length in axes)
        block = create_array(particles, name, ("time", "particle", *names), (0, m, *lengths))
        block.attrs["position"] = position
    create_time(file.create_group("observables"))
    data = getattr(info.energy, "data", None)
    if data is not None:
        _write_data(file.create_group("data"), data)
    if hasattr(info.energy, "teacher"):
        _store(file.create_group("data"), "teacher", ("neuron", "parameter"), info.energy.teacher)
    if len(_supports(info.energy)):
        _store(file.create_group("model"), "supports", ("cluster", "place"), _supports(info.energy), "i8")


def _supports(energy):
    """Return what the clusters of a hard-synchronised network read, empty for other energies."""
    return getattr(getattr(energy, "model", None), "supports", ())


def create_time(group):
    """Create the flow times of frames or observables."""
    time = create_array(group, "time", ("time",), (0,))
    write_text(time.attrs, "long_name", "flow time")


def _store(group, name, axes, values, dtype="f8"):
    dataset = create_array(group, name, axes, np.shape(values), dtype)
    if dataset.size:
        dataset[...] = values


def _write_data(group, data):
    for name in ("origin", "hash", "target"):
        write_text(group.attrs, name, getattr(data, name))
    for name in ("bias", "y_mean", "y_scale"):
        group.attrs[name] = getattr(data, name)
    names = text_array(data.features)
    _store(group, "features", ("feature",), names, names.dtype)
    for name in ("x_mean", "x_scale"):
        _store(group, name, ("input",), getattr(data, name))
    arrays = {name: getattr(data, name) for name in ("X", "y", "X_test", "y_test")}
    if sum(array.nbytes for array in arrays.values()) > _DATA_BYTES:
        return  # hash and origin say which data they were
    for name, array in arrays.items():
        axes = "test_sample" if name.endswith("test") else "sample", "feature"
        _store(group, name, axes[: array.ndim], array)


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
