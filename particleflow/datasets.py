"""Training data: n inputs in R^d and n real targets, read from a file or given as arrays, checked before anything runs.

A `Dataset` holds the empirical law nu = (1/n) sum_i delta_(x_i, y_i) that the energy averages over, rows kept aside for
testing, and what is needed to go back to the units of the user.  `load_dataset` reads files, `dataset_from_arrays` does
the checks, the split and the standardisation for every source.  Whatever cannot be used is refused with one sentence:
no missing value, text cell or constant column is ever repaired in silence.
"""

from __future__ import annotations

import csv
import hashlib
import io
import math
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from numbers import Real
from pathlib import Path

import numpy as np

from particleflow.errors import InvalidInput

BIAS = "bias"
MAX_VALUES = 2**28  # per array, 2 GiB of float64: a file that claims more is taken for damaged
MISSING = frozenset({"", "na", "n/a", "nan", "null", "none", "?", "."})


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """Training and test rows, in the coordinates that the model sees.

    Parameters
    ----------
    X : ndarray of shape (n, d)
        Training inputs, float64 and C-contiguous; the bias column, if any, is the last one and constant 1.
    y : ndarray of shape (n,)
        Training targets.
    X_test, y_test : ndarray of shape (n_test, d) and (n_test,)
        Rows kept aside; `n_test` may be 0.
    features : tuple of str
        Names of the columns of `X`; the bias column is called "bias".
    target : str
        Name of the target.
    bias : bool
        Whether the last column of `X` is the constant 1.
    x_mean, x_scale : ndarray of shape (d,), or (d - 1,) with a bias
        User units are ``X * x_scale + x_mean``; 0 and 1 when nothing was standardised.
    y_mean, y_scale : float
        The same for the targets.
    origin : str
        Where the data come from: a file name, or a word such as "arrays" or "teacher".
    """

    X: np.ndarray
    y: np.ndarray
    X_test: np.ndarray
    y_test: np.ndarray
    features: tuple[str, ...]
    target: str
    bias: bool
    x_mean: np.ndarray
    x_scale: np.ndarray
    y_mean: float
    y_scale: float
    origin: str

    @property
    def n(self) -> int:
        """Number of training rows."""
        return self.X.shape[0]

    @property
    def d(self) -> int:
        """Number of columns of `X`, the bias included."""
        return self.X.shape[1]

    @property
    def n_test(self) -> int:
        """Number of test rows."""
        return self.X_test.shape[0]

    @property
    def hash(self) -> str:
        """SHA-256, in hexadecimal, of the shapes, types and bytes of `X`, `y`, `X_test` and `y_test`."""
        digest = hashlib.sha256()
        for array in (self.X, self.y, self.X_test, self.y_test):
            digest.update(f"{array.shape} {array.dtype.str} ".encode())
            digest.update(array.tobytes())
        return digest.hexdigest()

    def inputs_in_units(self, X) -> np.ndarray:
        """Return the inputs `X`, of shape (..., d), in the units of the user and without the bias column."""
        X = np.asarray(X, dtype=float)
        _require(X.shape[-1:] == (self.d,), f"X has shape {X.shape}; valid: a last axis of length d = {self.d}")
        return X[..., : self.x_mean.size] * self.x_scale + self.x_mean

    def targets_in_units(self, y) -> np.ndarray:
        """Return targets or predictions `y`, of any shape, in the units of the user."""
        return np.asarray(y, dtype=float) * self.y_scale + self.y_mean

    def __repr__(self) -> str:
        """Describe the data in one line."""
        rows = f"n={self.n}, n_test={self.n_test}, d={self.d}"
        return f"Dataset({rows}, features={_names(self.features)}, target={self.target!r}, origin={self.origin!r})"


def load_dataset(
    file, *, target=None, features=None, bias=False, standardize=False, test_fraction=0.0, rng=None
) -> Dataset:
    """Read a data set from a .csv, .npz, .h5 or .hdf5 file.

    Parameters
    ----------
    file : str or path
        A ``.csv`` file has a header row and cells separated by commas, semicolons or tabs (UTF-8, decimal point); an
        ``.npz``, ``.h5`` or ``.hdf5`` file holds the arrays ``X`` of shape (n, d) or (n,) and ``y`` of shape (n,).
    target : str
        The column of y; for .csv only, and required there.
    features : sequence of str, optional
        The columns of X, for .csv only; all columns but the target by default.  Other columns may hold anything.
    bias, standardize, test_fraction, rng
        As in `dataset_from_arrays`.

    Returns
    -------
    Dataset

    Raises
    ------
    InvalidInput
        One sentence that names the file, the place, the value and what would be valid.
    """
    path = _regular_file(file)
    where = f"data.file {_show(path.name)}"
    read, content = READERS.get(path.suffix.lower(), (None, None))
    _require(read is not None, f"{where} has no known suffix; valid: {', '.join(READERS)}")
    if read is not _read_csv:
        for option, value in (("target", target), ("features", features)):
            _require(value is None, f"data.{option} = {_show(value)} is for .csv files only; {where} names X and y")
    try:
        X, y, *names = read(path, where, target, features)
    except InvalidInput:
        raise
    except Exception as error:  # a damaged file can make the parsers raise almost anything
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise InvalidInput(f"{where} cannot be read ({_show(reason, 100)}); valid: {content}") from error
    target, features = names or ("y", None)
    options = {"bias": bias, "standardize": standardize, "test_fraction": test_fraction, "rng": rng}
    data = dataset_from_arrays(X, y, features=features, target=target, origin=path.name, **options)
    if not bias:
        _check_varying(data.X, data.features, where)
    return data


def dataset_from_arrays(
    X, y, *, features=None, target="y", bias=False, standardize=False, test_fraction=0.0, rng=None, origin="arrays"
) -> Dataset:
    """Check, split and standardise inputs and targets; the arrays are copied.

    Parameters
    ----------
    X : array_like of shape (n, d) or (n,)
        Inputs, real and finite; a 1-D array is one feature.
    y : array_like of shape (n,) or (n, 1)
        Targets, real and finite.
    features : sequence of str, optional
        Names of the columns of `X`; x1, x2, ... by default.
    target : str
        Name of the target.
    bias : bool
        Append a constant feature 1.
    standardize : bool
        Shift and scale every feature, and the target unless its values are the labels -1 and 1, to mean 0 and
        standard deviation 1 (``ddof=0``) over the training rows.
    test_fraction : float
        Part of the rows in [0, 1) kept aside for testing, drawn with `rng`; the order of the rows is kept.
    rng : int or numpy.random.Generator, optional
        Seed or source of randomness; required if `test_fraction` is positive.
    origin : str
        Where the data come from, for messages and for the record.

    Returns
    -------
    Dataset

    Examples
    --------
    >>> dataset_from_arrays([0.0, 1.0, 3.0], [0.0, 2.0, 6.0], bias=True)
    Dataset(n=3, n_test=0, d=2, features='x1', 'bias', target='y', origin='arrays')
    """
    where = f"data from {_show(origin)}"
    for option, value in (("bias", bias), ("standardize", standardize)):
        _require(isinstance(value, bool | np.bool_), f"data.{option} = {_show(value)} is neither true nor false")
    X, y = _checked_arrays(X, y, where)
    n, d = X.shape
    features = _distinct_names([f"x{j + 1}" for j in range(d)] if features is None else features, "data.features")
    _require(len(features) == d, f"data.features has {len(features)} names; valid: {d}, the columns of the {where}")
    _require(not bias or BIAS not in features, f"data.features: {BIAS!r} is the column that data.bias = true appends")
    train, test = _split(n, test_fraction, rng)
    if bias or standardize:  # otherwise a constant column may be the caller's own bias
        _check_varying(X[train], features, f"the {where}")
    mean, scale = np.zeros(d + 1), np.ones(d + 1)
    if standardize:
        table = np.column_stack([X, y])
        mean, scale = _mean_and_scale(table, train, (*features, target), where)
        X, y = (X - mean[:-1]) / scale[:-1], (y - mean[-1]) / scale[-1]
    if bias:
        X, features = np.column_stack([X, np.ones(n)]), (*features, BIAS)
    return Dataset(
        *(np.ascontiguousarray(array[rows]) for rows in (train, test) for array in (X, y)),
        features=features,
        target=target,
        bias=bool(bias),
        x_mean=mean[:-1],
        x_scale=scale[:-1],
        y_mean=float(mean[-1]),
        y_scale=float(scale[-1]),
        origin=origin,
    )


def _checked_arrays(X, y, where):
    """Return finite float64 copies of X, of shape (n, d), and y, of shape (n,), or raise."""
    X, y = _real_array(X, "X", where), _real_array(y, "y", where)
    X = X[:, None] if X.ndim == 1 else X
    y = y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y
    _require(X.ndim == 2, f"{where}: X has shape {X.shape}; valid: (n, d), or (n,) for one feature")
    _require(y.ndim == 1, f"{where}: y has shape {y.shape}; valid: (n,) or (n, 1)")
    _require(len(X) == len(y), f"{where}: X has {len(X)} rows and y has {len(y)}; valid: as many targets as inputs")
    _require(X.size > 0, f"{where}: X has shape {X.shape}; valid: at least one row and one feature")
    return X, y


def _check_varying(X, features, where):
    """Raise if a column of several rows is constant."""
    for name, column in zip(features, X.T, strict=True):
        _require(
            len(column) == 1 or column.min() < column.max(),
            f"data.features: {_show(name)} of {where} is constant ({column[0]:g} in {len(column)} rows); "
            "valid: columns that vary; data.bias = true is the way to get a constant feature",
        )


def _real_array(values, name, where):
    """Return a finite float64 copy of an array of real numbers, or raise."""
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise InvalidInput(f"{where}: {name} has rows of different lengths; valid: a rectangular array") from error
    real = array.dtype.kind in "biuf"
    _require(real, f"{where}: {name} has dtype {_show(str(array.dtype))}; valid: real numbers (float or integer)")
    _require(not np.ma.is_masked(values), f"{where}: {name} has masked entries; valid: no missing value")
    with np.errstate(over="ignore"):
        array = array.astype(np.float64)
    for index in np.argwhere(~np.isfinite(array))[:1].tolist():
        raise InvalidInput(f"{where}: {name}{index} is {array[tuple(index)]}; valid: finite numbers")
    return array


def _split(n, test_fraction, rng):
    """Return the sorted indices of the training rows and of the test rows."""
    number = isinstance(test_fraction, Real) and not isinstance(test_fraction, bool)
    _require(number and 0 <= test_fraction < 1, f"data.test_fraction = {_show(test_fraction)} is not in [0, 1)")
    if test_fraction == 0:
        return np.arange(n), np.arange(0)
    _require(
        rng is not None, "rng is missing: data.test_fraction draws rows; valid: a seed or a numpy.random.Generator"
    )
    rng = np.random.default_rng(rng)
    n_test = round(test_fraction * n)
    valid = f"0, or {1 / n:.3g} to {1 - 1 / n:.3g}" if n > 1 else "0"
    side = "training" if n_test else "test"
    _require(0 < n_test < n, f"data.test_fraction = {test_fraction:g} of {n} rows leaves no {side} row; valid: {valid}")
    order = rng.permutation(n)
    return np.sort(order[n_test:]), np.sort(order[:n_test])


def _mean_and_scale(table, train, names, where):
    """Return mean and standard deviation of each column over the training rows; 0 and 1 for a target of labels."""
    rows, y = table[train], table[:, -1]
    _require(len(train) > 1, f"data.standardize needs two training rows or more, {where} has 1; valid: false")
    labels = np.array_equal(np.unique(y), [-1.0, 1.0])
    varies = labels or rows[:, -1].min() < rows[:, -1].max()
    _require(varies, f"data.standardize: target {_show(names[-1])} of the {where} is constant ({y[0]:g}); valid: false")
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        mean = rows.mean(axis=0)
        largest = np.abs(rows - mean).max(axis=0)  # dividing by it keeps the squares from over- and underflowing
        scale = largest * np.sqrt(np.mean(((rows - mean) / largest) ** 2, axis=0))
        if labels:
            mean[-1], scale[-1] = 0.0, 1.0
        finite = np.isfinite((table - mean) / scale).all(axis=0)
    for name, column, fine in zip(names, table.T, finite, strict=True):
        size = np.abs(column).max()
        _require(fine, f"data.standardize: {_show(name)} of the {where} overflows (up to {size:g}); valid: other units")
    return mean, scale


def _regular_file(file):
    """Return the path of an existing regular file, or raise."""
    valid = f"valid: an existing {', '.join(READERS)} file"
    _require(isinstance(file, str | os.PathLike), f"data.file = {_show(file)} is not a path; {valid}")
    path = Path(file)
    try:
        path.stat()
    except (OSError, ValueError) as error:
        raise InvalidInput(f"data.file {_show(str(path))} does not exist or cannot be reached; {valid}") from error
    kind = "a directory" if path.is_dir() else "not a regular file"
    _require(path.is_file(), f"data.file {_show(str(path))} is {kind}; {valid}")
    return path


def _read_csv(path, where, target, features):
    """Return X, y, target and features; only the columns in use have to be numbers."""
    text = path.read_bytes().decode("utf-8-sig")
    _require("\0" not in text, f"{where} holds NUL characters; valid: UTF-8 text")
    first = next((line for line in io.StringIO(text, newline="") if line.strip()), "")
    delimiter = max(",;\t", key=re.sub(r'"[^"]*"', "", first).count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True, strict=True)
    rows = [(reader.line_num, row) for row in reader if len(row) > 1 or "".join(row).strip()]
    _require(rows, f"{where} is empty; valid: a header row, then rows of numbers")
    header = _distinct_names([cell.strip() for cell in rows.pop(0)[1]], f"{where}, header")
    features = _checked_columns(where, header, target, features)
    _require(rows, f"{where} has a header but no rows; valid: at least one row of numbers")
    used = [(header.index(name), name) for name in (*features, target)]
    table = np.empty((len(rows), len(used)))
    for i, (line, row) in enumerate(rows):
        if len(row) != len(header):
            raise InvalidInput(f"{where}, line {line} has {len(row)} cells; valid: {len(header)}, as in the header")
        for k, (j, name) in enumerate(used):
            table[i, k] = _number(row[j].strip(), where, line, name)
    return table[:, :-1], table[:, -1], target, features


def _checked_columns(where, header, target, features):
    """Return the names of the features, given all column names, or raise."""
    known = f"a column of {where}; valid: {_names(header)}"
    _require(target is not None, f"data.target is missing, it names {known}")
    _require(target in header, f"data.target = {_show(target)} is not {known}")
    others = [name for name in header if name != target]
    features = _distinct_names(others if features is None else features, "data.features")
    _require(features, f"data.features is empty; valid: columns of {where} other than the target {_show(target)}")
    _require(target not in features, f"data.features: {_show(target)} is data.target; valid: {_names(others)}")
    for name in features:
        _require(name in header, f"data.features: {_show(name)} is not {known}")
    return features


def _number(text, where, line, column):
    """Return the finite number in one cell, or raise."""
    problem = "a missing value" if text.lower().lstrip("+-") in MISSING else "not a number"
    try:
        value = float(text.replace("_", "?"))  # Python alone reads 1_000 as a number
        if math.isfinite(value):
            return value
        problem = "not finite" if math.isinf(value) else problem
    except ValueError:
        pass
    place = f"{where}, line {line}, column {_show(column)}"
    raise InvalidInput(f"{place} holds {_show(text)}, {problem}; valid: a number such as -1.5e3")


def _read_npz(path, where, target, features):
    """Return the arrays X and y; pickled objects are never loaded."""
    with path.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
        for key in _checked_keys(where, archive.files):
            values = archive.zip.getinfo(f"{key}.npy").file_size // 8
            _require(values <= MAX_VALUES, f"{where}: {key} claims {values} values; valid: at most {MAX_VALUES}")
        return archive["X"], archive["y"]


def _read_hdf5(path, where, target, features):
    """Return the arrays X and y, if they are in the file itself and were written completely."""
    import h5py

    with h5py.File(path, "r") as file:
        for key in _checked_keys(where, list(file)):
            array = file[key] if isinstance(file.get(key, getlink=True), h5py.HardLink) else None
            plain = isinstance(array, h5py.Dataset) and array.shape is not None
            own = plain and not array.is_virtual and not array.external
            _require(own, f"{where}: {key} is a link, a group or nothing; valid: an array stored in the file itself")
            values, stored = math.prod(array.shape), array.id.get_storage_size()
            _require(values <= MAX_VALUES, f"{where}: {key} claims {values} values; valid: at most {MAX_VALUES}")
            compressed = array.id.get_create_plist().get_nfilters() > 0
            written = stored >= (min(values, 1) if compressed else values * array.dtype.itemsize)
            _require(written, f"{where}: {key} {array.shape} has only {stored} bytes; valid: a fully written array")
        return file["X"][()], file["y"][()]


def _checked_keys(where, names):
    """Return ("X", "y") if both are among the names, or raise."""
    for key in ("X", "y"):
        _require(key in names, f"{where} has no array {key!r}; valid: X and y (found: {_names(names) or 'nothing'})")
    return "X", "y"


def _distinct_names(names, field):
    """Return the names as a tuple of distinct strings that are not empty, or raise."""
    is_list = isinstance(names, Iterable) and not isinstance(names, str)
    _require(is_list, f"{field} = {_show(names)} is not a list; valid: a list of names")
    names, seen = tuple(names), set()
    for j, name in enumerate(names):
        _require(isinstance(name, str) and name, f"{field}: name {j + 1} is {_show(name)}; valid: a name of a column")
        _require(name not in seen, f"{field}: {_show(name)} occurs twice; valid: distinct names")
        seen.add(name)
    return names


def _require(condition, sentence: str) -> None:
    """Raise InvalidInput with the sentence unless the condition holds."""
    if not condition:
        raise InvalidInput(sentence)


def _names(names, most: int = 12) -> str:
    """List names for a message, the first `most` of them."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(_show(name) for name in names[:most]) + more


def _show(value, width: int = 60) -> str:
    """Return repr(value) on one line, shortened in the middle."""
    text = " ".join(repr(value).split())
    return text if len(text) <= width else f"{text[: width - 20]}...{text[-17:]}"


READERS = {
    ".csv": (_read_csv, "UTF-8 text with a header row, then rows of numbers"),
    ".npz": (_read_npz, "an archive written by numpy.savez(file, X=X, y=y)"),
    ".h5": (_read_hdf5, "an HDF5 file with the arrays X and y"),
    ".hdf5": (_read_hdf5, "an HDF5 file with the arrays X and y"),
}
