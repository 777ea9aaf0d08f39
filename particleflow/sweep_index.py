"""The index of a sweep: one HDF5 file with a row for each run, which follows from the trajectories.

A row is kept beside what tells whether its trajectory has changed since: a reader takes such rows from the trajectories
anew, so that index and trajectories never disagree. The file is replaced as a whole (schema: docs/sweeps.md).
"""

import json
import os
from pathlib import Path

import h5py
import numpy as np

from particleflow.errors import InvalidInput, TrajectoryError
from particleflow.sweep_runs import DONE, row_of

FORMAT, FORMAT_VERSION = "particleflow-sweep", 1
NAME, RUNS = "index.h5", "runs"
_PARAMETERS, _GROUPS = "parameters", ("observables", "certificate")
_TEXTS = ("status", "message", "fingerprint", "created", "versions", "certificate/verdict")


def is_sweep(folder):
    """Return whether a folder holds a sweep."""
    return (Path(folder) / NAME).is_file()


class Index:
    """The rows of a sweep.

    Attributes
    ----------
    folder : Path
        Of the sweep.
    config : str
        The sweep as TOML.
    parameters : list of dict
        The values of the swept keys, of each run.
    files : list of str
        The names of the trajectories, in the folder "runs".
    rows : list of dict
        As of `particleflow.sweep_runs.row_of`.
    """

    def __init__(self, folder, config, parameters, files):
        self.folder, self.config, self.parameters, self.files = Path(folder), config, parameters, files
        self._stamps = [None] * len(files)
        self.rows = [None] * len(files)

    def __len__(self):
        return len(self.files)

    def path(self, number):
        """Return where a trajectory is."""
        return self.folder / RUNS / self.files[number]

    def set(self, number, row):
        """Take a row, of the trajectory as it is now."""
        self._stamps[number], self.rows[number] = _stamp(self.path(number)), row

    def refresh(self):
        """Read the rows anew whose trajectories have changed."""
        for number in range(len(self)):
            stamp = _stamp(self.path(number))
            if self.rows[number] is None or stamp != self._stamps[number]:
                self._stamps[number], self.rows[number] = stamp, row_of(self.path(number))

    def adopt(self, other):
        """Take the rows of another index for the trajectories that both have."""
        known = {name: number for number, name in enumerate(other.files)}
        for number, name in enumerate(self.files):
            if name in known:
                self._stamps[number], self.rows[number] = other._stamps[known[name]], other.rows[known[name]]

    @property
    def undone(self):
        """The numbers of the runs that have not ended as planned."""
        return [number for number, row in enumerate(self.rows) if row["status"] not in DONE]

    # --- the file -----------------------------------------------------------------------------------------------------

    def write(self):
        """Replace the file.

        Raises
        ------
        TrajectoryError
            If it cannot be written.
        """
        path = self.folder / NAME
        part = path.with_name(f"{NAME}.{os.getpid()}.part")
        try:
            with h5py.File(part, "w", libver=("v108", "v108")) as file:
                self._write(file)
            part.replace(path)
        except (OSError, RuntimeError) as error:
            part.unlink(missing_ok=True)
            raise TrajectoryError(f"{str(path)!r} cannot be written: {error}") from None

    def _write(self, file):
        file.attrs.update({"format": FORMAT, "format_version": FORMAT_VERSION})
        file.create_dataset("config", data=self.config, dtype=h5py.string_dtype())
        _write_column(file, "file", self.files)
        _write_column(file, "stamp", [json.dumps(stamp) for stamp in self._stamps])
        for key in self.parameters[0]:
            _write_column(file, f"{_PARAMETERS}/{key}", [values[key] for values in self.parameters])
        file[_PARAMETERS].attrs["keys"] = list(self.parameters[0])
        flat = [_flat(row) for row in self.rows]
        for name in dict.fromkeys(name for row in flat for name in row):
            _write_column(file, name, [row.get(name) for row in flat], text=name in _TEXTS)

    @classmethod
    def read(cls, folder):
        """Return the index of a sweep.

        Raises
        ------
        InvalidInput
            If the folder holds no sweep.
        TrajectoryError
            If its index cannot be read.
        """
        path = Path(folder) / NAME
        if not is_sweep(folder):
            raise InvalidInput(f"{str(folder)!r} holds no sweep: there is no {NAME}")
        try:
            with h5py.File(path, "r", locking=False) as file:
                if file.attrs.get("format") != FORMAT:
                    raise InvalidInput(f"{str(path)!r} is not the index of a sweep")
                if file.attrs["format_version"] > FORMAT_VERSION:
                    raise InvalidInput(f"{str(path)!r} was written by a newer particleflow")
                return cls._read(folder, file)
        except (OSError, KeyError, ValueError, TypeError, AttributeError) as error:
            if isinstance(error, InvalidInput):
                raise
            raise TrajectoryError(f"{str(path)!r} is damaged: {error}") from None

    @classmethod
    def _read(cls, folder, file):
        keys = list(file[_PARAMETERS].attrs["keys"])
        values = [_read_column(file[_PARAMETERS][key]) for key in keys]
        parameters = [dict(zip(keys, row, strict=True)) for row in zip(*values, strict=True)]
        index = cls(folder, file["config"].asstr()[()], parameters, _read_column(file["file"]))
        index._stamps = [json.loads(stamp) for stamp in _read_column(file["stamp"])]
        names = [
            name for name in file if isinstance(file[name], h5py.Dataset) and name not in ("config", "file", "stamp")
        ]
        names += [f"{group}/{name}" for group in _GROUPS if group in file for name in file[group]]
        columns = [_read_column(file[name]) for name in names]
        index.rows = [_nested(dict(zip(names, row, strict=True))) for row in zip(*columns, strict=True)]
        return index


# --- rows and columns -------------------------------------------------------------------------------------------------


def _flat(row):
    """Return a row as the values of columns."""
    flat = {name: value for name, value in row.items() if name not in ("observables", "certificate", "versions")}
    flat["versions"] = json.dumps(row["versions"]) if row["versions"] else None
    flat |= {f"observables/{name}": value for name, value in row["observables"].items()}
    return flat | {f"certificate/{name}": value for name, value in (row["certificate"] or {}).items()}


def _nested(flat):
    """Return the row that `_flat` has made flat."""
    row = {name: value for name, value in flat.items() if "/" not in name}
    row["versions"] = json.loads(row["versions"]) if row["versions"] else None
    for group in _GROUPS:
        prefix = f"{group}/"
        row[group] = {name.removeprefix(prefix): value for name, value in flat.items() if name.startswith(prefix)}
    row["certificate"] = row["certificate"] if row["certificate"].get("verdict") else None
    return row


def _write_column(file, name, values, *, text=False):
    """Store a column: integers, numbers, truth values and texts as what they are, anything else as JSON."""
    kinds = {type(value) for value in values} - {type(None)}
    if text or kinds == {str}:
        values, dtype = [value or "" for value in values], object
    elif kinds == {bool} and None not in values:
        dtype = bool
    elif kinds == {int} and None not in values and all(abs(value) < 2**63 for value in values):
        dtype = "i8"
    elif kinds <= {int, float} and all(abs(value) <= 2**53 for value in values if type(value) is int):
        values, dtype = [np.nan if value is None else value for value in values], "f8"
    else:
        values, dtype = [json.dumps(value) for value in values], object
    stored = h5py.string_dtype() if dtype is object else None
    column = file.create_dataset(name, data=np.array(values, dtype=dtype), dtype=stored)
    column.attrs["json"] = dtype is object and not (text or kinds == {str})


def _read_column(column):
    """Return the values of a column as plain values."""
    if h5py.check_string_dtype(column.dtype) is None:
        return [None if value != value else value for value in column[()].tolist()]
    texts = [value.decode() for value in column[()]]
    return [json.loads(text) for text in texts] if column.attrs["json"] else [text or None for text in texts]


def _stamp(path):
    """Return what changes whenever the file does; None where there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return [status.st_mtime_ns, status.st_size]
