"""Data sets: the three formats, the split, the standardisation, and one clear sentence for whatever cannot be used."""

import hashlib
import os
import statistics
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from particleflow.datasets import MAX_VALUES, dataset_from_arrays, load_dataset
from particleflow.errors import InvalidInput

DATA = Path(__file__).parent.parent / "data"
TABLE = "a,b,y\n1,2,3\n4,5.5,-6e0\n-7,8,9\n"
X = np.array([[1.0, 2.0], [4.0, 5.5], [-7.0, 8.0]])
Y = np.array([3.0, -6.0, 9.0])


def write(folder, text, name="t.csv", encoding="utf-8"):
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode(encoding))
    return path


def refused(names, function, *arguments, **options):
    """Assert that the call is refused by one short sentence on one line that contains all `names`."""
    with pytest.raises(InvalidInput) as caught:
        function(*arguments, **options)
    message = str(caught.value)
    assert isinstance(caught.value, ValueError)
    assert len(message.splitlines()) == 1
    assert len(message) < 400
    for name in names:
        assert name in message, message
    return message


# --- reading ---------------------------------------------------------------------------------------------------------


def check_table(data, features=("a", "b")):
    np.testing.assert_array_equal(data.X, X)
    np.testing.assert_array_equal(data.y, Y)
    assert data.X.dtype == data.y.dtype == data.X_test.dtype == np.float64
    assert data.X.flags.c_contiguous
    assert data.X_test.shape == (0, 2)
    assert data.y_test.shape == (0,)
    assert (data.n, data.d, data.n_test) == (3, 2, 0)
    assert data.features == features
    np.testing.assert_array_equal(data.x_mean, [0, 0])
    np.testing.assert_array_equal(data.x_scale, [1, 1])
    assert (data.y_mean, data.y_scale, data.bias) == (0.0, 1.0, False)


@pytest.mark.parametrize(
    "text",
    [
        TABLE,
        TABLE.replace(",", ";"),
        TABLE.replace(",", "\t"),
        TABLE.replace(",", " , "),
        TABLE.replace("\n", "\r\n"),
        TABLE.replace("\n", "\r"),
        TABLE.replace("\n", "\n\n") + "  \n",
        TABLE.strip(),
        TABLE.replace("a,b,y", '"a", "b","y"').replace("5.5", '"5.5"'),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_csv_dialects(tmp_path, text, encoding):
    data = load_dataset(write(tmp_path, text, encoding=encoding), target="y")
    check_table(data)
    assert (data.target, data.origin) == ("y", "t.csv")


def test_csv_separator_inside_quoted_name(tmp_path):
    data = load_dataset(write(tmp_path, '"a,b,c,d";y\n1;2\n2;3\n'), target="y")
    assert data.features == ("a,b,c,d",)
    np.testing.assert_array_equal(data.X, [[1], [2]])


def test_csv_columns_are_chosen_by_name_and_others_may_hold_anything(tmp_path):
    path = write(tmp_path, "name,y,a,b\nAnna,1,2,3\n,4,5,6\n", name="UPPER.CSV")
    data = load_dataset(str(path), target="y", features=["b", "a"])
    np.testing.assert_array_equal(data.X, [[3, 2], [6, 5]])
    np.testing.assert_array_equal(data.y, [1, 4])
    assert data.features == ("b", "a")


@pytest.mark.parametrize("shape", [(3,), (3, 1)])
@pytest.mark.parametrize("dtype", ["f8", ">f8", "f4", "i2", "bool"])
@pytest.mark.parametrize("suffix", [".npz", ".h5", ".hdf5"])
def test_binary_formats(tmp_path, suffix, dtype, shape):
    path = tmp_path / f"t{suffix}"
    inputs, targets = np.array([[1, 0], [0, 1], [1, 1]], dtype), np.array([0, 1, 1], dtype).reshape(shape)
    if suffix == ".npz":
        np.savez_compressed(path, X=np.asfortranarray(inputs), y=targets, other=np.array("text"))
    else:
        with h5py.File(path, "w") as file:
            file.create_dataset("X", data=inputs, compression="gzip")
            file.create_dataset("y", data=targets)
    data = load_dataset(path)
    np.testing.assert_array_equal(data.X, [[1, 0], [0, 1], [1, 1]])
    np.testing.assert_array_equal(data.y, [0, 1, 1])
    assert data.X.dtype == data.y.dtype == np.float64
    assert data.X.flags.c_contiguous
    assert data.features == ("x1", "x2")
    assert (data.target, data.origin) == ("y", path.name)


def test_one_dimensional_inputs_are_one_feature(tmp_path):
    np.savez(tmp_path / "t.npz", X=X[:, 0], y=Y)
    with h5py.File(tmp_path / "t.h5", "w") as file:
        file["X"], file["y"] = X[:, 0], Y
    for name in ("t.npz", "t.h5"):
        np.testing.assert_array_equal(load_dataset(tmp_path / name).X, X[:, :1])


def test_all_formats_give_the_same_hash(tmp_path):
    np.savez(tmp_path / "t.npz", X=X, y=Y)
    with h5py.File(tmp_path / "t.h5", "w") as file:
        file["X"], file["y"] = X, Y
    data = [load_dataset(write(tmp_path, TABLE), target="y")]
    data += [load_dataset(tmp_path / "t.npz"), load_dataset(tmp_path / "t.h5"), dataset_from_arrays(X.tolist(), Y)]
    assert len({one.hash for one in data}) == 1
    assert len(data[0].hash) == hashlib.sha256().digest_size * 2
    assert data[0].hash != dataset_from_arrays(X, Y + np.array([0, 0, 1e-14])).hash
    assert data[0].hash != dataset_from_arrays(X[:, ::-1], Y).hash


def test_arrays_are_copied():
    inputs, targets = X.copy(), Y.copy()
    data = dataset_from_arrays(inputs, targets)
    inputs[:], targets[:] = 0, 0
    np.testing.assert_array_equal(data.X, X)
    np.testing.assert_array_equal(data.y, Y)


def test_single_row_is_allowed(tmp_path):
    data = load_dataset(write(tmp_path, "a,y\n1,2\n"), target="y", bias=True)
    np.testing.assert_array_equal(data.X, [[1, 1]])


def test_repr_is_one_short_line():
    data = dataset_from_arrays(X, Y, features=["a", "b"], bias=True, origin="t.csv")
    text = "Dataset(n=3, n_test=0, d=3, features='a', 'b', 'bias', target='y', origin='t.csv')"
    assert repr(data) == text
    assert len(repr(dataset_from_arrays(np.arange(2000.0).reshape(2, 1000), [0, 1]))) < 300


# --- bias, split, standardisation ------------------------------------------------------------------------------------

numbers = st.floats(-1e3, 1e3).map(lambda value: round(value, 3))


@st.composite
def tables(draw, smallest=2):
    """Draw inputs whose first two rows differ in every column, and targets."""
    n, d = draw(st.integers(smallest, 30)), draw(st.integers(1, 4))
    values = np.array(draw(st.lists(numbers, min_size=n * (d + 1), max_size=n * (d + 1)))).reshape(n, d + 1)
    values += 3e3 * np.arange(n)[:, None] * draw(st.sampled_from([1, -1]))  # all rows distinct: never constant
    return values[:, :-1], values[:, -1]


@given(table=tables(smallest=3), fraction=st.floats(0.2, 0.8), seed=st.integers(0, 2**32), bias=st.booleans())
def test_split_is_an_ordered_reproducible_partition(table, fraction, seed, bias):
    inputs, targets = table
    options = {"test_fraction": fraction, "bias": bias}
    data = dataset_from_arrays(inputs, targets, rng=np.random.default_rng(seed), **options)
    again = dataset_from_arrays(inputs, targets, rng=np.random.default_rng(seed), **options)
    assert data.hash == again.hash
    n = len(targets)
    assert data.n_test == round(fraction * n)
    assert data.n + data.n_test == n
    place = {target: i for i, target in enumerate(targets)}
    train, test = [place[value] for value in data.y], [place[value] for value in data.y_test]
    assert sorted(train + test) == list(range(n))
    assert train == sorted(train)
    assert test == sorted(test)
    d = inputs.shape[1]
    np.testing.assert_array_equal(data.X[:, :d], inputs[train])
    np.testing.assert_array_equal(data.X_test[:, :d], inputs[test])
    if bias:
        assert data.features[-1] == "bias"
        assert (data.X[:, -1] == 1).all()
        assert (data.X_test[:, -1] == 1).all()


def test_split_depends_on_the_generator_and_takes_every_row_equally_often():
    counts = np.zeros(8)
    for seed in range(800):
        data = dataset_from_arrays(np.arange(8.0), np.arange(8.0), test_fraction=0.25, rng=np.random.default_rng(seed))
        counts[data.y_test.astype(int)] += 1
    # 800 draws with probability 1/4: mean 200, standard deviation 12.2
    assert np.abs(counts - 200).max() < 60


@given(table=tables(smallest=4), fraction=st.sampled_from([0.0, 0.3, 0.5]), bias=st.booleans())
def test_standardised_training_rows_have_mean_0_and_deviation_1(table, fraction, bias):
    inputs, targets = table
    plain, data = (
        dataset_from_arrays(
            inputs, targets, bias=bias, standardize=flag, test_fraction=fraction, rng=np.random.default_rng(1)
        )
        for flag in (False, True)
    )
    d = inputs.shape[1]
    for j in range(d):
        column = plain.X[:, j].tolist()
        assert data.x_mean[j] == pytest.approx(statistics.fmean(column), rel=1e-9, abs=1e-9)
        assert data.x_scale[j] == pytest.approx(statistics.pstdev(column), rel=1e-9)
    assert data.y_scale == pytest.approx(statistics.pstdev(plain.y.tolist()), rel=1e-9)
    for column in (*data.X[:, :d].T, data.y):
        assert statistics.fmean(column) == pytest.approx(0, abs=1e-9)
        assert statistics.pstdev(column) == pytest.approx(1, abs=1e-9)
    for mine, units in ((data.X, plain.X), (data.X_test, plain.X_test)):
        assert data.inputs_in_units(mine).shape == (len(mine), d)
        np.testing.assert_allclose(data.inputs_in_units(mine), units[:, :d], rtol=1e-9, atol=1e-6)
    np.testing.assert_allclose(data.targets_in_units(data.y), plain.y, rtol=1e-9, atol=1e-6)
    np.testing.assert_allclose(data.targets_in_units(data.y_test), plain.y_test, rtol=1e-9, atol=1e-6)
    if bias:
        assert (data.X[:, -1] == 1).all()


def test_units_of_a_grid_and_of_one_number():
    data = dataset_from_arrays([0.0, 2.0], [10.0, 30.0], standardize=True, bias=True)
    np.testing.assert_array_equal(data.inputs_in_units([[[0.5, 1.0]], [[-1.0, 1.0]]]), [[[1.5]], [[0.0]]])
    assert data.targets_in_units(0.5) == 25.0
    refused(["(2, 1)", "d = 2"], data.inputs_in_units, [[1.0], [2.0]])


def test_labels_are_not_standardised_and_other_two_valued_targets_are():
    labels = dataset_from_arrays([1, 2, 3, 4.0], [-1, 1, 1, 1], standardize=True)
    np.testing.assert_array_equal(labels.y, [-1, 1, 1, 1])
    assert (labels.y_mean, labels.y_scale) == (0.0, 1.0)
    np.testing.assert_allclose(dataset_from_arrays([1, 2.0], [0, 1], standardize=True).y, [-1, 1])
    np.testing.assert_allclose(dataset_from_arrays([1, 2.0], [5, 9], standardize=True).y, [-1, 1])


@pytest.mark.parametrize("size", [1e-200, 1e-320, 1e150, 1e300])
def test_standardising_extreme_units(size):
    data = dataset_from_arrays(np.array([0.0, 1.0, 2.0, 3.0]) * size, [1, 2, 3, 4.0], standardize=True)
    expected = np.array([-1.5, -0.5, 0.5, 1.5]) / np.sqrt(1.25)
    np.testing.assert_allclose(data.X[:, 0], expected, rtol=1e-3 if size < 1e-300 else 1e-12)


def test_constant_target_is_only_an_error_when_standardised():
    np.testing.assert_array_equal(dataset_from_arrays([1.0, 2.0], [5.0, 5.0]).y, [5, 5])
    refused(["data.standardize", "'y'", "constant", "5"], dataset_from_arrays, [1.0, 2.0], [5, 5.0], standardize=True)


# --- refusals: csv ---------------------------------------------------------------------------------------------------

BAD_CSV = {
    "empty": ("", {}, ["data.file 't.csv'", "empty", "header"]),
    "blank": (" \n\n", {}, ["data.file 't.csv'", "empty", "header"]),
    "empty quotes": ('""\n', {}, ["data.file 't.csv'", "empty", "header"]),
    "header only": ("a,b,y\n", {}, ["'t.csv'", "no rows"]),
    "binary": (b"\x89PNG\r\n\x1a\n\x00\x01", {}, ["'t.csv'", "0x89", "UTF-8"]),
    "utf-16": (TABLE.encode("utf-16"), {}, ["'t.csv'", "0xff", "UTF-8"]),
    "nul": ("a,y\n1,\0002\n", {}, ["'t.csv'", "NUL", "UTF-8"]),
    "text cell": ("a,b,y\n1,2,3\n4,five,6\n", {}, ["'t.csv'", "line 3", "'b'", "'five'", "not a number"]),
    "line numbers count blank lines": ("a,b,y\n\n1,2,3\n\n4,x,6\n", {}, ["line 5", "'b'", "'x'"]),
    "text target": ("a,b,y\n1,2,high\n", {}, ["line 2", "'y'", "'high'"]),
    "decimal comma": ("a;b;y\n1;2,5;3\n", {}, ["line 2", "'b'", "'2,5'", "not a number"]),
    "underscore": ("a,y\n1_000,2\n", {}, ["line 2", "'a'", "'1_000'", "not a number"]),
    "empty cell": ("a,b,y\n1,,3\n", {}, ["line 2", "'b'", "missing"]),
    "row of empty cells": ("a,b,y\n1,2,3\n,,\n", {}, ["line 3", "'a'", "missing"]),
    "NA": ("a,b,y\n1,NA,3\n", {}, ["line 2", "'b'", "'NA'", "missing"]),
    "nan": ("a,b,y\n1,2,NaN\n", {}, ["line 2", "'y'", "'NaN'", "missing"]),
    "minus nan": ("a,b,y\n1,-nan,3\n", {}, ["line 2", "'b'", "'-nan'", "missing"]),
    "inf": ("a,b,y\n1,2,3\n-inf,2,3\n", {}, ["line 3", "'a'", "'-inf'", "not finite"]),
    "overflow": ("a,b,y\n1,1e999,3\n", {}, ["line 2", "'b'", "'1e999'", "not finite"]),
    "short row": ("a,b,y\n1,2,3\n4,5\n", {}, ["'t.csv'", "line 3", "2 cells", "3"]),
    "long row": ("a,b,y\n1,2,3,4\n", {}, ["'t.csv'", "line 2", "4 cells", "3"]),
    "open quote": ('a,y\n1,"2\n3,4\n', {}, ["'t.csv'", "unexpected end of data"]),
    "no name": (",a,y\n0,1,2\n", {}, ["'t.csv'", "name 1", "''"]),
    "two columns of one name": ("a,b,a,y\n1,2,3,4\n", {}, ["'t.csv'", "'a'", "twice", "distinct"]),
    "no target": (TABLE, {"target": None}, ["data.target", "'t.csv'", "'a', 'b', 'y'"]),
    "unknown target": (TABLE, {"target": "z"}, ["data.target", "'z'", "'a', 'b', 'y'"]),
    "target is no string": (TABLE, {"target": ["y"]}, ["data.target", "['y']", "'a', 'b', 'y'"]),
    "unknown feature": (TABLE, {"features": ["a", "bmi"]}, ["data.features", "'bmi'", "'t.csv'", "'a', 'b'"]),
    "feature is target": (TABLE, {"features": ["a", "y"]}, ["data.features", "'y'", "data.target", "'a', 'b'"]),
    "feature twice": (TABLE, {"features": ["a", "a"]}, ["data.features", "'a'", "twice"]),
    "features is a string": (TABLE, {"features": "ab"}, ["data.features", "'ab'", "list"]),
    "features is a number": (TABLE, {"features": 3}, ["data.features", "3", "list"]),
    "feature is a number": (TABLE, {"features": ["a", 1]}, ["data.features", "name 2", "1"]),
    "no features": (TABLE, {"features": []}, ["data.features", "empty", "'y'"]),
    "only a target": ("y\n1\n2\n", {}, ["data.features", "empty", "'y'"]),
    "constant": ("a,b,y\n1,2.5,3\n4,2.5,6\n", {}, ["data.features", "'b'", "'t.csv'", "2.5", "data.bias = true"]),
    "bias by hand": ("a,bias,y\n1,2,3\n4,5,6\n", {"bias": True}, ["data.features", "'bias'", "data.bias"]),
    "bias is text": (TABLE, {"bias": "yes"}, ["data.bias", "'yes'", "true", "false"]),
    "standardize is a number": (TABLE, {"standardize": 1}, ["data.standardize", "1", "true", "false"]),
    "standardize one row": ("a,y\n1,2\n", {"standardize": True}, ["data.standardize", "'t.csv'", "1"]),
    "fraction 1": (TABLE, {"test_fraction": 1.0}, ["data.test_fraction", "1.0", "[0, 1)"]),
    "fraction negative": (TABLE, {"test_fraction": -0.1}, ["data.test_fraction", "-0.1", "[0, 1)"]),
    "fraction nan": (TABLE, {"test_fraction": float("nan")}, ["data.test_fraction", "nan", "[0, 1)"]),
    "fraction text": (TABLE, {"test_fraction": "0.5"}, ["data.test_fraction", "'0.5'", "[0, 1)"]),
    "fraction boolean": (TABLE, {"test_fraction": True}, ["data.test_fraction", "True", "[0, 1)"]),
    "no test row": (TABLE, {"test_fraction": 0.1}, ["data.test_fraction", "0.1", "3 rows", "no test row", "0.333"]),
    "no training row": (TABLE, {"test_fraction": 0.9}, ["data.test_fraction", "0.9", "no training row", "0.667"]),
    "split of one row": ("a,y\n1,2\n", {"test_fraction": 0.5}, ["data.test_fraction", "0.5", "1 rows", "valid: 0"]),
    "no generator": (TABLE, {"test_fraction": 0.4, "rng": None}, ["rng", "numpy.random.Generator"]),
}


@pytest.mark.parametrize(("text", "options", "names"), BAD_CSV.values(), ids=BAD_CSV)
def test_bad_csv_is_refused(tmp_path, text, options, names):
    options = {"target": "y", "rng": np.random.default_rng(0), **options}
    refused(names, load_dataset, write(tmp_path, text), **options)


def test_long_values_and_many_names_are_shortened(tmp_path):
    header = ",".join(f"column{j}" for j in range(500))
    refused(["'column0'", "and 488 more"], load_dataset, write(tmp_path, header + "\n"), target="y")
    cell = "begin" + "x" * 100_000 + "end"
    refused(["begin", "...", "end"], load_dataset, write(tmp_path, f"a,y\n{cell},1\n"), target="y")
    refused(["line 3", r"one\ntwo"], load_dataset, write(tmp_path, 'a,y\n"one\ntwo",1\n'), target="y")
    refused([r"t\nwo.csv"], load_dataset, write(tmp_path, "", name="t\nwo.csv"), target="y")
    refused(["limit"], load_dataset, write(tmp_path, f"a,y\n{'1' * 200_000},1\n"), target="y")


# --- refusals: files -------------------------------------------------------------------------------------------------


def test_missing_file_directory_and_unknown_suffix(tmp_path):
    refused(["data.file", "nowhere.csv", "does not exist"], load_dataset, tmp_path / "nowhere.csv", target="y")
    (tmp_path / "folder.csv").mkdir()
    refused(["data.file", "folder.csv", "directory", ".npz"], load_dataset, tmp_path / "folder.csv", target="y")
    for name in ("t.txt", "t", "t.csv.gz"):
        names = ["data.file", f"'{name}'", ".csv, .npz, .h5, .hdf5"]
        refused(names, load_dataset, write(tmp_path, TABLE, name=name), target="y")
    refused(["data.file", "None", "path"], load_dataset, None)
    refused(["data.file", "directory"], load_dataset, "")
    refused(["data.file", "cannot be reached"], load_dataset, "nul\0.csv")
    refused(["data.file", "cannot be reached", "..."], load_dataset, "long" * 2000 + ".csv")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_pipe_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.csv")
    refused(["data.file", "pipe.csv", "not a regular file"], load_dataset, tmp_path / "pipe.csv", target="y")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root reads everything")
@pytest.mark.parametrize("name", ["t.csv", "t.npz", "t.h5"])
def test_unreadable_file(tmp_path, name):
    path = write(tmp_path, TABLE, name=name)
    path.chmod(0)
    refused(["data.file", f"'{name}'", "cannot be read"], load_dataset, path, target="y" if name == "t.csv" else None)


@pytest.mark.parametrize("name", ["t.npz", "t.h5"])
@pytest.mark.parametrize("content", [b"", TABLE.encode(), b"PK\x03\x04 no archive", b"\x89HDF\r\n\x1a\n and no more"])
def test_files_that_are_not_what_their_suffix_says(tmp_path, name, content):
    format_name = {"t.npz": "numpy.savez", "t.h5": "HDF5"}[name]
    refused(["data.file", f"'{name}'", "cannot be read", format_name], load_dataset, write(tmp_path, content, name))


@pytest.mark.parametrize("name", ["t.npz", "t.h5"])
def test_names_are_for_csv_only(tmp_path, name):
    path = write(tmp_path, b"", name)
    refused(["data.target", "'y'", ".csv", f"'{name}'"], load_dataset, path, target="y")
    refused(["data.features", "['a']", ".csv", f"'{name}'"], load_dataset, path, features=["a"])


ones = np.ones(3)
BAD_ARRAYS = {
    "no y": ({"X": X, "labels": Y}, ["'y'", "'X', 'labels'"]),
    "no X": ({"x": X, "y": Y}, ["'X'", "'x', 'y'"]),
    "nothing": ({}, ["'X'", "nothing"]),
    "X 3-D": ({"X": X.reshape(3, 2, 1), "y": Y}, ["X", "(3, 2, 1)", "(n, d)"]),
    "X 0-D": ({"X": np.float64(1), "y": Y}, ["X", "()", "(n, d)"]),
    "y 2-D": ({"X": X, "y": X}, ["y", "(3, 2)", "(n, 1)"]),
    "y 0-D": ({"X": X, "y": np.float64(1)}, ["y", "()", "(n,)"]),
    "lengths": ({"X": X, "y": Y[:2]}, ["X", "3 rows", "y", "2"]),
    "n = 0": ({"X": X[:0], "y": Y[:0]}, ["X", "(0, 2)", "at least one row"]),
    "d = 0": ({"X": X[:, :0], "y": Y}, ["X", "(3, 0)", "one feature"]),
    "complex": ({"X": X + 1j, "y": Y}, ["X", "complex128", "real"]),
    "bytes": ({"X": X, "y": np.array([b"1", b"2", b"3"])}, ["y", "dtype", "real"]),
    "nan": ({"X": np.array([[1, 2], [3, np.nan]]), "y": Y[:2]}, ["X[1, 1]", "nan", "finite"]),
    "inf": ({"X": X, "y": np.array([1, 2, -np.inf])}, ["y[2]", "-inf", "finite"]),
    "constant": ({"X": np.column_stack([X, ones]), "y": Y}, ["data.features", "'x3'", "(1 in 3", "data.bias = true"]),
}


@pytest.mark.parametrize(("arrays", "names"), BAD_ARRAYS.values(), ids=BAD_ARRAYS)
@pytest.mark.parametrize("suffix", [".npz", ".h5"])
def test_bad_arrays_are_refused(tmp_path, suffix, arrays, names):
    path = tmp_path / f"t{suffix}"
    if suffix == ".npz":
        np.savez(path, **arrays)
    else:
        with h5py.File(path, "w") as file:
            for key, array in arrays.items():
                file[key] = array
    refused([f"'{path.name}'", *names], load_dataset, path)


class Trap:
    """Would leave a file behind if it was ever unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_pickled_objects_are_never_loaded(tmp_path):
    np.savez(tmp_path / "t.npz", X=np.array([Trap(tmp_path / "sprung")], dtype=object), y=np.ones(1))
    refused(["'t.npz'", "cannot be read", "numpy.savez"], load_dataset, tmp_path / "t.npz")
    (tmp_path / "t.npz").write_bytes(b"\x80\x04N.")
    refused(["'t.npz'", "cannot be read"], load_dataset, tmp_path / "t.npz")
    assert not (tmp_path / "sprung").exists()


def test_npz_that_is_one_array_damaged_or_claims_too_much(tmp_path, monkeypatch):
    np.save(tmp_path / "one.npy", X)
    (tmp_path / "one.npy").rename(tmp_path / "one.npz")
    refused(["'one.npz'", "cannot be read", "numpy.savez"], load_dataset, tmp_path / "one.npz")
    np.savez(tmp_path / "t.npz", X=X, y=Y)
    whole = (tmp_path / "t.npz").read_bytes()
    for size in range(0, len(whole), 37):
        refused(["'cut.npz'", "cannot be read"], load_dataset, write(tmp_path, whole[:size], name="cut.npz"))
    header = np.lib.format.magic(1, 0) + (118).to_bytes(2, "little")
    shape = b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000, 1000), }".ljust(117) + b"\n"
    with zipfile.ZipFile(tmp_path / "lie.npz", "w") as archive:
        archive.writestr("X.npy", header + shape + bytes(80))
        archive.writestr("y.npy", header + shape + bytes(80))
    refused(["'lie.npz'", "cannot be read"], load_dataset, tmp_path / "lie.npz")
    monkeypatch.setattr("particleflow.datasets.MAX_VALUES", 10)
    np.savez_compressed(tmp_path / "t.npz", X=np.zeros(1000), y=np.zeros(1000))
    refused(["'t.npz'", "X", "at most 10"], load_dataset, tmp_path / "t.npz")


def test_hdf5_links_groups_and_foreign_storage_are_refused(tmp_path):
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["X"], file["y"] = X, Y
    (tmp_path / "raw.bin").write_bytes(Y.tobytes())
    layout = h5py.VirtualLayout(shape=(3,), dtype="f8")
    layout[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), "y", shape=(3,))
    makers = {
        "external link": lambda file: file.__setitem__("y", h5py.ExternalLink("other.h5", "/y")),
        "soft link": lambda file: file.__setitem__("y", h5py.SoftLink("/X")),
        "broken link": lambda file: file.__setitem__("y", h5py.SoftLink("/nowhere")),
        "group": lambda file: file.create_group("y"),
        "null": lambda file: file.create_dataset("y", data=h5py.Empty("f8")),
        "virtual": lambda file: file.create_virtual_dataset("y", layout),
        "external file": lambda file: file.create_dataset("y", (3,), "f8", external=[(tmp_path / "raw.bin", 0, 24)]),
    }
    for name, make in makers.items():
        path = tmp_path / f"{name}.h5"
        with h5py.File(path, "w") as file:
            file["X"] = X
            make(file)
        refused([f"'{name}.h5'", "y", "in the file itself"], load_dataset, path)


def test_hdf5_that_was_never_written_or_claims_too_much(tmp_path):
    cases = [
        ({"shape": (10**7, 10**5), "chunks": (1, 1)}, ["X", "1000000000000 values", str(MAX_VALUES)]),
        ({"shape": (3, 2)}, ["X", "(3, 2)", "0 bytes", "fully written"]),
        ({"shape": (3, 2), "chunks": (1, 2)}, ["X", "(3, 2)", "0 bytes", "fully written"]),
        ({"shape": (3, 2), "compression": "gzip"}, ["X", "(3, 2)", "0 bytes", "fully written"]),
    ]
    for options, names in cases:
        with h5py.File(tmp_path / "t.h5", "w") as file:
            file.create_dataset("X", dtype="f8", **options)
            file["y"] = Y
        refused(["'t.h5'", *names], load_dataset, tmp_path / "t.h5")


def test_truncated_hdf5(tmp_path):
    with h5py.File(tmp_path / "t.h5", "w") as file:
        file["X"], file["y"] = np.arange(500.0), np.arange(500.0)
    whole = (tmp_path / "t.h5").read_bytes()
    for size in (100, 1000, len(whole) - 1000, len(whole) - 1):
        refused(["'cut.h5'", "cannot be read", "HDF5"], load_dataset, write(tmp_path, whole[:size], name="cut.h5"))


@pytest.mark.parametrize("suffix", [".csv", ".npz", ".h5"])
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(position=st.floats(0, 0.999), byte=st.integers(0, 255))
def test_a_changed_byte_gives_a_data_set_or_one_sentence(tmp_path, suffix, position, byte):
    path = tmp_path / f"t{suffix}"
    if suffix == ".csv":
        write(tmp_path, TABLE)
    elif suffix == ".npz":
        np.savez(path, X=X, y=Y)
    else:
        with h5py.File(path, "w") as file:
            file["X"], file["y"] = X, Y
    content = bytearray(path.read_bytes())
    content[int(position * len(content))] = byte
    path.write_bytes(content)
    try:
        data = load_dataset(path, target="y" if suffix == ".csv" else None)
    except InvalidInput as error:
        assert len(str(error).splitlines()) == 1
    else:
        assert np.isfinite(data.X).all()
        assert data.X.shape == (data.n, data.d)


# --- refusals: arrays ------------------------------------------------------------------------------------------------


def test_bad_arrays_in_python_are_refused():
    refused(["'arrays'", "X", "different lengths"], dataset_from_arrays, [[1.0, 2.0], [3.0]], [1, 2])
    refused(["y", "dtype", "real"], dataset_from_arrays, X, ["a", "b", "c"])
    refused(["y", "object", "real"], dataset_from_arrays, X, [1, 2, None])
    refused(["y", "masked"], dataset_from_arrays, X, np.ma.masked_equal(Y, 9.0))
    refused(["'here'", "X[0]", "inf"], dataset_from_arrays, np.array([np.inf, 1, 2]), Y, origin="here")
    refused(["data.features", "1 names", "2"], dataset_from_arrays, X, Y, features=["a"])
    refused(["data.features", "'bias'"], dataset_from_arrays, X, Y, features=["a", "bias"], bias=True)
    huge = [1.7e308, 1.6e308]
    refused(["data.standardize", "'x1'", "overflow", "1.7e+308"], dataset_from_arrays, huge, [1, 2], standardize=True)


def test_feature_that_is_constant_on_the_training_rows_is_refused():
    flag = np.zeros(20)
    flag[5] = 1
    seed = next(seed for seed in range(100) if 5 in np.random.default_rng(seed).permutation(20)[:5])
    options = {"test_fraction": 0.25, "rng": np.random.default_rng(seed)}
    inputs = np.column_stack([np.arange(20), flag])
    refused(["'x2'", "0 in 15 rows"], dataset_from_arrays, inputs, np.arange(20), bias=True, **options)


def test_constant_column_in_arrays_may_be_the_callers_own_bias():
    inputs = np.column_stack([np.arange(4), np.ones(4)])
    np.testing.assert_array_equal(dataset_from_arrays(inputs, np.arange(4)).X, inputs)


# --- the data sets of the package ------------------------------------------------------------------------------------


def test_diabetes():
    data = load_dataset(DATA / "diabetes.csv", target="progression")
    assert (data.n, data.d) == (442, 10)
    assert data.features == ("age", "sex", "bmi", "bp", "s1", "s2", "s3", "s4", "s5", "s6")
    # Efron et al. (2004): the first patients of table 1, and the mean, which is the intercept of their models
    np.testing.assert_array_equal(data.X[0], [59, 2, 32.1, 101, 157, 93.2, 38, 4, 4.8598, 87])
    np.testing.assert_array_equal(data.y[:6], [151, 75, 141, 206, 135, 97])
    np.testing.assert_array_equal(data.y[-1], 57)
    assert data.y.mean() == pytest.approx(152.133, abs=5e-4)


def test_diabetes_as_in_the_example_config():
    data = load_dataset(
        DATA / "diabetes.csv",
        target="progression",
        features=["bmi"],
        bias=True,
        standardize=True,
        test_fraction=0.25,
        rng=np.random.default_rng(0),
    )
    assert (data.n, data.n_test, data.d, data.features) == (332, 110, 2, ("bmi", "bias"))
    assert data.x_mean.shape == data.x_scale.shape == (1,)
    assert 25 < data.x_mean[0] < 28


def test_treasury_bill():
    data = load_dataset(DATA / "treasury_bill.csv", target="rate")
    assert (data.n, data.features) == (203, ("year",))
    np.testing.assert_array_equal(data.X[:, 0], np.arange(1959, 2009.75, 0.25))
    assert (data.y[0], data.y.max(), data.X[data.y.argmax(), 0]) == (2.82, 15.33, 1981.25)
    line = np.polyval(np.polyfit(data.X[:, 0] - 1984, data.y, 1), data.X[:, 0] - 1984)
    assert np.var(data.y - line) > 0.95 * np.var(data.y)
