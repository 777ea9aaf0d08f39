"""The command line: what it prints, its exit codes, and that bad input ends in one sentence and changes nothing."""

import inspect
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest

import particleflow as pf
from particleflow.cli import main

CONFIG = """\
seed = 1

[data]
file = "data.csv"
target = "y"
bias = true

[model]
particles = 6

[energy]
strength = 1e-3

[flow]
t_end = 0.01
frames = 2

[output]
file = "run.h5"
"""
ROWS = "x,y\n0,1\n1,-1\n2,1\n3,-1\n"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with a configuration that runs, the current one."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run.toml").write_text(CONFIG)
    (tmp_path / "data.csv").write_text(ROWS)
    return tmp_path


@pytest.fixture
def refused(folder, capsys):
    """A function that runs a command line and checks that it is refused as promised; returns the sentence."""

    def check(*arguments):
        before = contents(folder)
        code = main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        assert_refused(code, out, err)
        assert contents(folder) == before
        return err

    return check


def contents(folder):
    return {path: path.read_bytes() if path.is_file() else None for path in sorted(folder.rglob("*"))}


def assert_refused(code, out, err):
    assert code == 2
    assert out == ""
    assert err.startswith("particleflow: error: ")
    assert err.endswith("\n")
    assert err.count("\n") == 1
    assert "Traceback" not in err


def command(*arguments, **options):
    """Run the command line in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "particleflow.cli", *map(str, arguments)],
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        timeout=120,
        check=False,
        **options,
    )


# --- values that cannot be used ---------------------------------------------------------------------------------------

VALUES = {
    # unknown keys and tables: the valid ones are listed
    "sead=1": ["sead", "data, model, flow, energy, initial, output, seed"],
    "modle.particles=3": ["modle", "data, model, flow, energy, initial, output, seed"],
    "folder=x": ["folder is unknown"],
    "data.path=x": ["data.path", "source, file, target, features, n, d, teacher, bias, standardize, test_fraction"],
    "data.teacher.width=3": ["data.teacher.width", "neurons, kind, activation, s, supports"],
    "model.neurons=3": ["model.neurons", "particles, kind, activation"],
    "energy.lambda=3": ["energy.lambda", "loss, regularizer, strength, kernel"],
    "initial.scale=3": ["initial.scale", "law, radius, low, high, file"],
    "flow.tol=3": ["flow.tol", "t_end, method, rtol, atol, step, monotone, temperature", "frames, stop"],
    "flow.stop.loss=1": ["flow.stop.loss", "stationary, wall_clock, energy, gap"],
    "output.path=x": ["output.path", "file"],
    "a\nb=1": ["a b"],
    # unknown values: the valid ones are listed
    "data.source=web": ["data.source = 'web'", '"file", "teacher"'],
    "model.kind=one-layer": ["model.kind = 'one-layer'", '"two-layer"'],
    "model.activation=gelu": ["model.activation = 'gelu'", '"relu", "erf", "tanh", "sigmoid", "square", "linear"'],
    "data.teacher.activation=gelu": ["data.teacher.activation = 'gelu'", '"relu"'],
    "energy.loss=absolute": ["energy.loss = 'absolute'", '"squared", "logistic", "huber"'],
    "energy.regularizer=l1": [
        "energy.regularizer = 'l1'",
        '"path-norm", "norm", "squared-norm", "scaled-squared-norm", "none"',
    ],
    "energy.kernel=exact": ["energy.kernel = 'exact'", '"empirical"'],
    "initial.law=cube": [
        "initial.law = 'cube'",
        '"sphere", "gaussian", "half-sphere", "one-signed", "circle-grid", "uniform", "file"',
    ],
    "flow.method=rk45": ["flow.method = 'rk45'", '"euler", "heun", "rk4", "bs23", "dopri5"'],
    # numbers out of range
    "seed=-1": ["seed = -1"],
    "model.particles=0": ["model.particles = 0", "integers from 1"],
    "model.particles=-3": ["model.particles = -3"],
    "energy.strength=-1e-3": ["energy.strength = -0.001", "finite numbers from 0"],
    "energy.strength=nan": ["energy.strength = nan"],
    "energy.strength=inf": ["energy.strength = inf"],
    "initial.radius=0": ["initial.radius = 0"],
    "initial.radius=-1.0": ["initial.radius = -1.0"],
    "flow.t_end=0": ["flow.t_end = 0", "finite numbers above 0"],
    "flow.t_end=-1": ["flow.t_end = -1"],
    "flow.t_end=nan": ["flow.t_end = nan"],
    "flow.t_end=inf": ["flow.t_end = inf"],
    "flow.t_end=1" + 400 * "0": ["flow.t_end = 1000"],
    "flow.rtol=0": ["flow.rtol = 0"],
    "flow.rtol=-1e-6": ["flow.rtol = -1e-06"],
    "flow.rtol=nan": ["flow.rtol = nan"],
    "flow.atol=-1": ["flow.atol = -1"],
    "flow.frames=0": ["flow.frames = 0", "integer from 1", "increasing times above 0"],
    "flow.frames=[]": ["flow.frames = ()"],
    "flow.frames=[0.0, 0.01]": ["flow.frames = (0.0, 0.01)"],
    "flow.frames=[0.01, 0.005]": ["flow.frames = (0.01, 0.005)"],
    "flow.frames=[0.005, 0.005]": ["flow.frames = (0.005, 0.005)"],
    "flow.frames=[0.005, 1.0]": ["flow.frames", "t_end = 0.01"],
    "flow.stop.stationary=0": ["flow.stop = {'stationary': 0}"],
    "flow.stop.wall_clock=-3": ["flow.stop = {'wall_clock': -3}"],
    "flow.stop.gap=0": ["flow.stop = {'gap': 0}"],
    "flow.stop.energy=nan": ["flow.stop = {'energy': nan}"],
    "data.test_fraction=1.0": ["data.test_fraction = 1.0"],
    "data.test_fraction=-0.1": ["data.test_fraction = -0.1"],
    "data.test_fraction=0.01": ["data.test_fraction = 0.01"],
    # wrong types
    "seed=1.5": ["seed = 1.5", "integers"],
    "seed=true": ["seed = True"],
    "data=3": ["data = 3", "[data]"],
    "data=[1]": ["data = [1]", "[data]"],
    "model=relu": ["model = 'relu'", "[model]"],
    "data.file=3": ["data.file = 3", "text"],
    "data.file=": ["data.file = ''"],
    'data.file="a\\u0000b"': ["data.file = 'a\\x00b'"],
    "data.features=x": ["data.features = 'x'", "list of texts"],
    "data.features=[1]": ["data.features = (1,)"],
    "data.features=[]": ["data.features = ()"],
    "data.bias=1": ["data.bias = 1", "true or false"],
    "data.bias=yes": ["data.bias = 'yes'"],
    "data.standardize=[true]": ["data.standardize = (True,)"],
    "data.teacher=3": ["data.teacher = 3", "[data.teacher]"],
    "model.particles=ten": ["model.particles = 'ten'", "integers"],
    "model.particles=true": ["model.particles = True"],
    "model.particles=10.0": ["model.particles = 10.0"],
    "model.particles={count = 3}": ["model.particles = {'count': 3}"],
    "model.activation=1": ["model.activation = 1"],
    "energy.strength='0.1'": ["energy.strength = '0.1'", "numbers"],
    "energy.strength=true": ["energy.strength = True"],
    "energy.loss=[]": ["energy.loss = ()"],
    "flow.t_end=long": ["flow.t_end = 'long'"],
    "flow.t_end=2024-01-01": ["flow.t_end = datetime.date(2024, 1, 1)"],
    "flow.stop=0.1": ["flow.stop = 0.1", "table"],
    "flow.stop.energy=low": ["flow.stop = {'energy': 'low'}"],
    "flow.frames=many": ["flow.frames = 'many'"],
    "flow.frames=true": ["flow.frames = True"],
    "output.file=true": ["output.file = True"],
    # what does not go together
    "flow.step=0.1": ["flow.step = 0.1", "dopri5"],
    "flow.method=euler": ["flow.step is missing", "euler"],
    "data.source=teacher": ["data.file does not apply", "teacher"],
    "data.n=3": ["data.n does not apply"],
    "initial.law=file": ["initial.file"],
    "initial.file=x.npz": ["initial.file"],
    "data.file=missing.csv": ["data.file", "missing.csv", "does not exist"],
    "data.file=.": ["data.file", "directory"],
    "data.file=run.toml": ["data.file", "run.toml", ".csv, .npz, .h5"],
    "data.target=z": ["data.target = 'z'", "'x', 'y'"],
    "data.features=[z]": ["data.features = '[z]'"],
    'data.features=["z"]': ["data.features: 'z'", "'x', 'y'"],
    'data.features=["y"]': ["data.features: 'y' is data.target"],
}


@pytest.mark.parametrize(("change", "words"), VALUES.items(), ids=[key[:40] for key in VALUES])
def test_bad_values(refused, change, words):
    message = refused("run", "run.toml", "--set", change)
    assert [word for word in words if word not in message] == []


COMBINED = {
    "circle grid of an odd number": (["initial.law=circle-grid", "model.particles=5"], ["circle", "even", "5"]),
    "circle grid in d = 3": (
        ["initial.law=circle-grid", "data.file=wide.csv"],
        ["circle", "d = 2", "found d = 3"],
    ),
    "teacher with n = 0": (["data={source = 'teacher', n = 0, d = 3}"], ["data.n = 0"]),
    "teacher with a file": (["data={source = 'teacher', n = 1, d = 3, file = 'data.csv'}"], ["data.file does not"]),
    "teacher with test rows": (
        ["data={source = 'teacher', n = 9, d = 3, test_fraction = 0.5}"],
        ["data.test_fraction"],
    ),
    "labels for the logistic loss": (["energy.loss=logistic", "data.file=labels.csv"], ["logistic", "-1 and +1", "0"]),
    "no target": (["data={file = 'data.csv'}"], ["data.target is missing"]),
    "a target in npz": (["data={file = 'cloud.npz', target = 'y'}"], ["data.target = 'y'", ".csv"]),
    "missing particles": (["initial={law = 'file', file = 'no.npz'}"], ["initial.file", "no.npz", "does not exist"]),
    "particles in a text file": (["initial={law = 'file', file = 'text.npz'}"], ["initial.file", "text.npz"]),
    "particles of unknown suffix": (
        ["initial={law = 'file', file = 'data.csv'}"],
        ["initial.file", "data.csv", ".npz, .h5"],
    ),
    "particles of wrong shape": (
        ["initial={law = 'file', file = 'shape.npz'}"],
        ["initial.file", "shape.npz", "'w'", "(6, 3)", "(6, 2)"],
    ),
    "particles without a": (["initial={law = 'file', file = 'no-a.npz'}"], ["initial.file", "no-a.npz", "'a'"]),
    "particles of text": (["initial={law = 'file', file = 'words.npz'}"], ["initial.file", "words.npz"]),
    "particles with NaN": (["initial={law = 'file', file = 'nan.npz'}"], ["initial.file", "nan.npz", "particle 2"]),
    "another number of particles": (
        ["initial={law = 'file', file = 'seven.npz'}"],
        ["model.particles = 6", "7"],
    ),
    "particles in a data file": (["initial={law = 'file', file = 'groups.h5'}"], ["initial.file", "groups.h5"]),
    "an initial energy that overflows": (["initial.radius=1e200"], ["initial measure", "infinite"]),
    "too many particles for the memory": (["model.particles=1000000000000"], ["memory"]),
    "a name too long for the data": ([f"data.file={300 * 'd'}.csv"], ["data.file", "ddd"]),
    "a name too long for the particles": ([f"initial={{law = 'file', file = '{300 * 'd'}.npz'}}"], ["initial.file"]),
}


@pytest.mark.parametrize(("changes", "words"), COMBINED.values(), ids=COMBINED)
def test_bad_combinations(folder, refused, changes, words):
    (folder / "wide.csv").write_text("u,v,y\n0,1,1\n1,0,-1\n2,5,1\n")
    (folder / "labels.csv").write_text("x,y\n0,0\n1,1\n")
    (folder / "text.npz").write_text("no archive")
    np.savez("cloud.npz", X=np.arange(4.0), y=np.ones(4))
    np.savez("shape.npz", a=np.zeros(6), w=np.zeros((6, 3)))
    np.savez("no-a.npz", w=np.zeros((6, 2)))
    np.savez("words.npz", a=np.array(list("abcdef")), w=np.zeros((6, 2)))
    np.savez("seven.npz", a=np.ones(7), w=np.ones((7, 2)))
    np.savez("nan.npz", a=np.ones(6), w=np.where(np.arange(6)[:, None] == 2, np.nan, [1.0, 1.0]))
    with h5py.File("groups.h5", "w") as file:
        file.create_group("a")
        file.create_group("w")
    message = refused("run", "run.toml", *(part for change in changes for part in ("--set", change)))
    assert [word for word in words if word not in message] == []


# --- files that cannot be used ----------------------------------------------------------------------------------------

TEXTS = {
    "empty": ("", ["data.csv", "empty"]),
    "header only": ("x,y\n", ["data.csv", "no rows"]),
    "text column": ("x,y\nred,1\nblue,2\n", ["data.csv", "line 2", "'x'", "'red'"]),
    "missing value": ("x,y\n1,1\n2,\n", ["data.csv", "line 3", "'y'", "missing"]),
    "NaN": ("x,y\n1,1\nNaN,2\n", ["data.csv", "line 3", "'x'", "'NaN'"]),
    "infinity": ("x,y\n1,1\n2,inf\n", ["data.csv", "line 3", "'y'", "'inf'"]),
    "overflow": ("x,y\n1,1\n2,1e999\n", ["data.csv", "line 3", "'1e999'"]),
    "short row": ("x,y\n1,1\n2\n", ["data.csv", "line 3", "1 cells", "2"]),
    "long row": ("x,y\n1,1\n2,3,4\n", ["data.csv", "line 3", "3 cells", "2"]),
    "constant column": ("x,y\n1,1\n1,2\n", ["data.csv", "'x'", "constant"]),
    "a column twice": ("x,x,y\n1,2,3\n", ["data.csv", "'x' occurs twice"]),
}


@pytest.mark.parametrize(("text", "words"), TEXTS.values(), ids=TEXTS)
def test_bad_tables(folder, refused, text, words):
    (folder / "data.csv").write_text(text)
    message = refused("run", "run.toml")
    assert [word for word in words if word not in message] == []


ARRAYS = {
    "no y": ({"X": np.ones((3, 2))}, ["'y'"]),
    "rows": ({"X": np.eye(3), "y": np.ones(2)}, ["X has 3 rows", "y has 2"]),
    "three axes": ({"X": np.ones((3, 2, 2)), "y": np.ones(3)}, ["X has shape (3, 2, 2)"]),
    "two targets": ({"X": np.eye(3), "y": np.eye(3)}, ["y has shape (3, 3)"]),
    "n = 0": ({"X": np.ones((0, 2)), "y": np.ones(0)}, ["X has shape (0, 2)"]),
    "d = 0": ({"X": np.ones((3, 0)), "y": np.ones(3)}, ["X has shape (3, 0)"]),
    "NaN": ({"X": np.array([1, np.nan, 2]), "y": np.ones(3)}, ["X[1]", "nan"]),
    "infinity": ({"X": np.arange(3.0), "y": np.array([1, 2, -np.inf])}, ["y[2]", "-inf"]),
    "text": ({"X": np.array([b"a", b"b"]), "y": np.ones(2)}, ["X has dtype"]),
    "complex": ({"X": np.array([1j, 2]), "y": np.ones(2)}, ["X has dtype 'complex128'"]),
}


@pytest.mark.parametrize("suffix", ["npz", "h5"])
@pytest.mark.parametrize(("arrays", "words"), ARRAYS.values(), ids=ARRAYS)
def test_bad_arrays(folder, refused, arrays, words, suffix):
    if suffix == "npz":
        np.savez("cloud.npz", **arrays)
    else:
        with h5py.File("cloud.h5", "w") as file:
            for name, array in arrays.items():
                file[name] = array
    message = refused("run", "run.toml", "--set", f"data={{file = 'cloud.{suffix}'}}")
    assert f"cloud.{suffix}" in message
    assert [word for word in words if word not in message] == []


WRONG = [
    (suffix, content)
    for suffix in (".npz", ".h5", ".hdf5", ".csv")
    for content in ("csv", "npz", "h5", "noise")
    if suffix.replace("hdf5", "h5") != f".{content}"
]


@pytest.mark.parametrize(("suffix", "content"), WRONG)
def test_data_files_that_are_not_what_their_suffix_says(folder, refused, suffix, content):
    np.savez("right.npz", X=np.arange(3.0), y=np.ones(3))
    with h5py.File("right.h5", "w") as file:
        file["X"], file["y"] = np.arange(3.0), np.ones(3)
    (folder / "right.csv").write_text(ROWS)
    (folder / "right.noise").write_bytes(np.random.default_rng(0).bytes(500))
    (folder / f"wrong{suffix}").write_bytes((folder / f"right.{content}").read_bytes())
    target = ", target = 'y'" if suffix == ".csv" else ""
    message = refused("run", "run.toml", "--set", f"data={{file = 'wrong{suffix}'{target}}}")
    assert f"wrong{suffix}" in message


CONFIGS = {
    "not TOML": ("seed = = 1", ["run.toml", "not valid TOML", "line 1"]),
    "a key twice": ("seed = 1\nseed = 2\n" + CONFIG, ["run.toml", "not valid TOML"]),
    "a table of csv": (ROWS, ["run.toml", "not valid TOML"]),
    "empty": ("", ["[flow]", "missing"]),
    "no data": ("flow.t_end = 1", ["[data]", "missing"]),
    "no t_end": (CONFIG.replace("t_end = 0.01", ""), ["flow.t_end is missing"]),
    "an array of tables": (CONFIG.replace("[data]", "[[data]]"), ["data = [", "[data]"]),
    "no output": (CONFIG.replace('file = "run.h5"', ""), ["output.file is missing"]),
}


@pytest.mark.parametrize(("text", "words"), CONFIGS.values(), ids=CONFIGS)
def test_bad_configurations(folder, refused, text, words):
    (folder / "run.toml").write_text(text)
    message = refused("run", "run.toml")
    assert [word for word in words if word not in message] == []


def test_configurations_that_cannot_be_read(folder, refused):
    (folder / "latin.toml").write_bytes("# é".encode("latin-1"))
    for name, word in {"no.toml": "not exist", ".": "not a file", "latin.toml": "as text", 300 * "c": "ccc"}.items():
        message = refused("run", name)
        assert "configuration" in message
        assert name in message
        assert word in message


@pytest.mark.parametrize("change", ["seed", "=3", "seed.x=3", "data..file=x", "data.file.x=1"])
def test_malformed_changes(refused, change):
    assert f"--set {change}" in refused("run", "run.toml", "--set", change)


# --- where the output cannot go ---------------------------------------------------------------------------------------

OUTPUTS = {
    "no/where/run.h5": "does not exist",
    "data.csv/run.h5": "does not exist",  # the parent is a file
    "data.csv/no/run.h5": "does not exist",
    ".": "is a directory",
    300 * "o": "too long",
    "/proc/run.h5": "cannot be created",  # not even by root
}


@pytest.mark.parametrize(("output", "word"), OUTPUTS.items(), ids=[name[:20] for name in OUTPUTS])
@pytest.mark.parametrize("overwrite", [[], ["--overwrite"]], ids=["new", "overwrite"])
def test_bad_outputs(refused, output, word, overwrite):
    if output.startswith("/proc") and not Path("/proc/self").exists():
        pytest.skip("no /proc here")
    message = refused("run", "run.toml", "-o", output, *overwrite)
    assert "output.file" in message
    assert output in message
    assert word in message


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_output_in_a_folder_without_permission(folder, refused):
    locked = folder / "locked"
    locked.mkdir(mode=0o500)
    assert "locked" in refused("run", "run.toml", "-o", "locked/run.h5")


@pytest.mark.parametrize("name", ["run.toml", "data.csv", "other.h5", "empty.h5"])
@pytest.mark.parametrize("overwrite", [False, True])
def test_only_trajectories_are_overwritten(folder, refused, name, overwrite):
    with h5py.File("other.h5", "w") as file:
        file["X"] = np.ones(3)
    (folder / "empty.h5").touch()
    message = refused("run", "run.toml", "-o", name, *(["--overwrite"] if overwrite else []))
    assert "output.file" in message
    assert name in message
    assert ("not a particleflow trajectory" if overwrite else "--overwrite") in message


def test_a_trajectory_is_overwritten_only_on_demand(folder, refused, capsys):
    assert main(["run", "run.toml"]) == 0
    capsys.readouterr()
    assert "--overwrite" in refused("run", "run.toml", "--set", "seed=2")
    first = pf.open("run.h5")
    with first:
        before = first.particles(0).particles
    assert main(["run", "run.toml", "--set", "seed=2", "--overwrite"]) == 0
    with pf.open("run.h5") as second:
        assert not np.array_equal(second.particles(0).particles, before)
    assert sorted(path.name for path in folder.iterdir()) == ["data.csv", "run.h5", "run.toml"]


def test_a_run_that_cannot_start_keeps_the_old_trajectory(folder, refused, capsys):
    assert main(["run", "run.toml"]) == 0
    capsys.readouterr()
    for change in ("model.particles=0", "data.file=no.csv", "initial.radius=1e200", "flow.step=1"):
        refused("run", "run.toml", "--overwrite", "--set", change)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "no.toml"], ["no.toml"]),
        (["run", "run.toml", "--set", "energy.strength=-1"], ["energy.strength = -1"]),
        (["run", "run.toml", "-o", "data.csv", "--overwrite"], ["data.csv"]),
        (["show", "no.h5"], ["no.h5"]),
    ],
)
def test_bad_input_in_a_process_of_its_own(folder, arguments, words):
    before = contents(folder)
    done = command(*arguments, cwd=folder)
    assert_refused(done.returncode, done.stdout, done.stderr)
    assert [word for word in words if word not in done.stderr] == []
    assert contents(folder) == before


# --- other commands on files that cannot be used ----------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [["show"], ["show", "--json"], ["plot"], ["export", "-o", "out.npz"]])
@pytest.mark.parametrize("name", ["no.h5", "data.csv", "other.h5", ".", 300 * "t"], ids=lambda name: name[:10])
def test_files_that_are_no_trajectories(refused, arguments, name):
    with h5py.File("other.h5", "w") as file:
        file["X"] = np.ones(3)
    assert name in refused(arguments[0], name, *arguments[1:])


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["-o", "out.txt"], ".npz, .csv"),
        (["-o", "out"], ".npz, .csv"),
        (["-o", "no/out.npz"], "no/out.npz"),
        (["-o", "data.csv/out.npz"], "data.csv/out.npz"),
        (["-o", f"{300 * 'o'}.csv"], "ooo"),
        (["-o", "/proc/out.csv"], "/proc/out.csv"),
        (["-o", "folder.npz", "--overwrite"], "folder.npz"),
        (["-o", "data.csv"], "--overwrite"),
        (["-o", "out.csv", "--frame", "3"], "frame = 3"),
        (["-o", "out.csv", "--frame", "-4"], "frame = -4"),
    ],
)
def test_bad_exports(folder, refused, capsys, arguments, word):
    (folder / "folder.npz").mkdir()
    assert main(["run", "run.toml"]) == 0
    capsys.readouterr()
    assert word in refused("export", "run.h5", *arguments)


# --- what it prints and returns ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trajectory(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    (folder / "run.toml").write_text(CONFIG)
    (folder / "data.csv").write_text(ROWS)
    assert main(["run", str(folder / "run.toml"), "--set", "flow.frames=[0.002, 0.005]"]) == 0
    return folder / "run.h5"


def rows_of(text):
    return dict(re.split(r"  +", line.strip(), maxsplit=1) for line in text.splitlines())


def strict_json(text):
    def refuse(constant):
        raise AssertionError(f"{constant} is not JSON")

    return json.loads(text, parse_constant=refuse)


def test_run_prints_what_show_prints(folder, capsys):
    assert main(["run", "run.toml"]) == 0
    ran, noise = capsys.readouterr()
    assert noise == ""  # no progress bar where nobody looks
    assert main(["show", str(folder / "run.h5")]) == 0
    shown = capsys.readouterr().out
    assert rows_of(ran) | {"file": ""} == rows_of(shown) | {"file": ""}
    rows = rows_of(shown)
    assert rows["status"].startswith("finished: ")
    assert rows["flow time"] == "0.01 of 0.01"
    assert rows["model"] == "two-layer, relu, 6 particles"
    assert rows["data"] == "data.csv: 4 rows, 2 features, 0 test rows"
    assert rows["frames"] == "3"
    assert "L(0)" in rows["energy balance"]


def test_show_json_says_what_the_file_holds(trajectory, capsys):
    assert main(["show", str(trajectory), "--json"]) == 0
    shown = strict_json(capsys.readouterr().out)
    with pf.open(trajectory) as file:
        observables = file.observables
        assert shown["fingerprint"] == file.fingerprint
        assert shown["energy_initial"] == observables["energy"][0]
        assert shown["energy_balance_error"] == max(abs(observables["balance"]))
        assert shown["observables"] == {name: values[-1] for name, values in observables.items() if name != "time"}
    assert shown["file"] == str(trajectory)
    assert shown["status"] == "finished"
    assert shown["data"] == {"origin": "data.csv", "n": 4, "d": 2, "n_test": 0}
    assert (shown["flow_time"], shown["t_end"], shown["frames"], shown["particles"]) == (0.01, 0.01, 4, 6)
    assert shown["versions"]["numpy"] == np.__version__


def test_a_diverged_run(folder, capsys):
    """A network of linear neurons under steps far too large: every particle is thrown further each time."""
    changes = ["model.activation=linear", "flow.method=euler", "flow.step=1e3", "flow.t_end=1e6"]
    assert main(["run", "run.toml", *(part for change in changes for part in ("--set", change))]) == 3
    assert rows_of(capsys.readouterr().out)["status"].startswith("diverged: ")
    with pf.open("run.h5") as file:
        assert file.status == "diverged"
        assert 0 < file.time[-1] < 1e6
        assert np.isfinite(file.particles(-1).particles).all()
        assert np.isfinite(file.observables["energy"]).all()
    assert main(["show", "run.h5", "--json"]) == 0
    shown = strict_json(capsys.readouterr().out)
    assert shown["status"] == "diverged"
    assert shown["flow_time"] < 1e6


def test_numbers_that_are_not_finite_are_null_in_json(trajectory, tmp_path, capsys):
    copy = tmp_path / "copy.h5"
    copy.write_bytes(trajectory.read_bytes())
    with h5py.File(copy, "r+") as file:
        file["observables/risk"][-1] = np.nan
        file["observables/balance"][-1] = np.inf
    assert main(["show", str(copy), "--json"]) == 0
    shown = strict_json(capsys.readouterr().out)
    assert shown["observables"]["risk"] is None
    assert shown["energy_balance_error"] is None
    assert main(["show", str(copy)]) == 0
    assert "not finite" in capsys.readouterr().out


def test_gradient_descent_is_shown_in_both_clocks(folder, capsys):
    """Lazarus 2022: η = 1e-5, m = 50, 1000 steps are the flow time 2ηk/m = 4e-4: almost nothing moves."""
    eta, m, steps = 1e-5, 50, 1000
    changes = [f"model.particles={m}", "flow.method=euler", f"flow.step={2 * eta / m}", f"flow.t_end={4e-4}"]
    assert main(["run", "run.toml", *(part for change in changes for part in ("--set", change))]) == 0
    rows = rows_of(capsys.readouterr().out)
    assert rows["flow time"] == "0.0004 of 0.0004"
    assert rows["steps"].startswith(f"{steps} (0 rejected")
    assert "learning rate 1e-05" in rows["method"]
    assert main(["show", "run.h5", "--json"]) == 0
    shown = strict_json(capsys.readouterr().out)
    assert shown["learning_rate"] == pytest.approx(eta, rel=1e-12)
    assert pf.flow_time(eta, steps, m) == pytest.approx(shown["flow_time"], rel=1e-12)


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ("flow.stop.energy=1e9", "finished"),
        ("flow.stop.stationary=1e9", "stationary"),
        ("flow.stop.wall_clock=1e-9", "budget"),
    ],
)
def test_planned_ends_are_successes(folder, capsys, change, status):
    assert main(["run", "run.toml", "--set", change]) == 0
    assert rows_of(capsys.readouterr().out)["status"].startswith(f"{status}: ")


def test_output_is_relative_to_where_the_command_is_given(folder, capsys):
    (folder / "configs").mkdir()
    (folder / "configs" / "run.toml").write_text(CONFIG.replace("data.csv", "../data.csv"))
    assert main(["run", "configs/run.toml"]) == 0  # output.file is relative to the configuration
    assert (folder / "configs" / "run.h5").is_file()
    assert main(["run", "configs/run.toml", "-o", "here.h5"]) == 0
    assert (folder / "here.h5").is_file()


def test_a_torn_trajectory_is_shown_with_a_note(trajectory, tmp_path, capsys):
    copy = tmp_path / "copy.h5"
    copy.write_bytes(trajectory.read_bytes())
    with h5py.File(copy, "r+") as file:
        file["particles/w"].resize(3, axis=0)
    assert main(["show", str(copy)]) == 0
    out, err = capsys.readouterr()
    assert rows_of(out)["frames"] == "3"
    assert err.startswith("particleflow: note: ")
    assert err.count("\n") == 1


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_a_terminal_without_greek(trajectory, encoding):
    done = command("show", trajectory, env=os.environ | {"PYTHONIOENCODING": encoding})
    assert (done.returncode, done.stderr) == (0, "")
    assert "finished" in done.stdout


def test_a_reader_that_goes_away(trajectory):
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-m", "particleflow.cli", "show", str(trajectory)],
        stdout=write,
        stderr=subprocess.PIPE,
        timeout=120,
        check=False,
    )
    os.close(write)
    assert done.stderr == b""
    assert done.returncode == 1


def test_plot_writes_figures_beside_the_trajectory(folder, capsys):
    assert main(["run", "run.toml"]) == 0
    capsys.readouterr()
    assert main(["plot", "run.h5"]) == 0
    printed = [Path(line) for line in capsys.readouterr().out.splitlines()]
    assert printed
    assert {path.resolve() for path in printed} == set(folder.glob("*.png"))


# --- help and imports -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["", "run", "show", "plot", "export"])
def test_help(capsys, name):
    with pytest.raises(SystemExit) as end:
        main([*([name] if name else []), "--help"])
    assert end.value.code == 0
    out, err = capsys.readouterr()
    assert out.startswith(f"usage: particleflow {name}".rstrip())
    assert err == ""


def test_version(capsys):
    with pytest.raises(SystemExit) as end:
        main(["--version"])
    assert (end.value.code, capsys.readouterr().out) == (0, f"particleflow {pf.__version__}\n")


@pytest.mark.parametrize("arguments", [[], ["fly"], ["run"], ["run", "run.toml", "--sett", "x=1"], ["export", "x.h5"]])
def test_usage_errors(capsys, arguments):
    with pytest.raises(SystemExit) as end:
        main(arguments)
    out, err = capsys.readouterr()
    assert (end.value.code, out) == (2, "")
    assert "particleflow" in err


def test_help_answers_at_once():
    seconds = []
    for _ in range(3):
        begin = time.perf_counter()
        assert command("--help").returncode == 0
        seconds.append(time.perf_counter() - begin)
    assert min(seconds) < 0.3


def test_importing_starts_no_work():
    code = """
import sys
import particleflow, particleflow.cli
heavy = {"numba", "h5py", "matplotlib", "scipy", "PIL"} & {name.partition(".")[0] for name in sys.modules}
assert not heavy, heavy
assert len(particleflow.__all__) == len(set(particleflow.__all__)) == len(dir(particleflow))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_every_public_name_is_there():
    for _ in range(2):  # the second time every room is loaded, and none may hide a name
        for name in pf.__all__:
            assert not inspect.ismodule(getattr(pf, name)), name
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = pf.nothing
