"""Exports hold what the trajectory holds, to the last bit."""

import csv

import numpy as np
import pytest

import particleflow as pf
from particleflow.cli import main


@pytest.fixture(scope="module")
def trajectory(tmp_path_factory):
    rng = np.random.default_rng(0)
    energy = pf.EmpiricalEnergy(pf.TwoLayer("relu"), (rng.normal(size=(9, 3)), rng.normal(size=9)), strength=0.1)
    path = tmp_path_factory.mktemp("run") / "run.h5"
    pf.solve(energy, pf.gaussian(4, 3, rng=1), 1.0, frames=5, file=path)
    with pf.open(path) as file:
        yield file


def table(path):
    """Return header and columns of a csv file, read with the standard library alone."""
    with path.open(newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    return header, np.array([[float(cell) for cell in row] for row in rows]).T


def test_npz_holds_everything(trajectory, tmp_path):
    path = pf.export_trajectory(trajectory, tmp_path / "run.npz")
    with np.load(path, allow_pickle=False) as archive:
        names = {"time", "a", "w", "config", *(f"observable_{name}" for name in trajectory.observables)}
        assert set(archive.files) == names
        np.testing.assert_array_equal(archive["time"], trajectory.time)
        for k in range(len(trajectory)):
            measure = trajectory.particles(k)
            np.testing.assert_array_equal(archive["a"][k], measure["a"])
            np.testing.assert_array_equal(archive["w"][k], measure["w"])
        for name, values in trajectory.observables.items():
            np.testing.assert_array_equal(archive[f"observable_{name}"], values)
        assert str(archive["config"]) == trajectory.config_text
        assert archive["w"].dtype == np.float64


def test_csv_holds_the_observables(trajectory, tmp_path):
    header, columns = table(pf.export_trajectory(trajectory, tmp_path / "run.csv"))
    assert header == list(trajectory.observables)
    assert header[0] == "time"
    for name, column in zip(header, columns, strict=True):
        np.testing.assert_array_equal(column, trajectory.observables[name])


@pytest.mark.parametrize("frame", [0, 2, -1])
def test_one_frame(trajectory, tmp_path, frame):
    measure = trajectory.particles(frame)
    header, columns = table(pf.export_trajectory(trajectory, tmp_path / "frame.csv", frame=frame))
    assert header == ["a", "w_1", "w_2", "w_3"]
    np.testing.assert_array_equal(columns.T, measure.particles)
    with np.load(pf.export_trajectory(trajectory, tmp_path / "frame.npz", frame=frame)) as archive:
        assert set(archive.files) == {"a", "w"}
        np.testing.assert_array_equal(archive["a"], measure["a"])
        np.testing.assert_array_equal(archive["w"], measure["w"])


def test_an_exported_frame_is_a_start(trajectory, tmp_path):
    pf.export_trajectory(trajectory, tmp_path / "frame.npz", frame=1)
    measure = pf.measure_from_file(tmp_path / "frame.npz", trajectory.layout)
    np.testing.assert_array_equal(measure.particles, trajectory.particles(1).particles)


def test_values_that_are_not_finite_survive(tmp_path):
    class Odd(pf.Observer):
        def measure(self, state):
            return {"odd": [np.nan, np.inf, -np.inf][state.steps]}

    energy = pf.EmpiricalEnergy(pf.TwoLayer("tanh"), ([[1.0], [2.0]], [1.0, 0.0]))
    options = {"method": "euler", "step": 0.5, "frames": [0.5], "observers": [Odd()], "file": tmp_path / "run.h5"}
    pf.solve(energy, pf.sphere(2, 1, rng=0), 1.0, **options)
    with pf.open(tmp_path / "run.h5") as trajectory:
        header, columns = table(pf.export_trajectory(trajectory, tmp_path / "run.csv"))
    np.testing.assert_array_equal(columns[header.index("odd")], [np.nan, np.inf, -np.inf])


@pytest.mark.parametrize("name", ["out.npz", "out.csv"])
def test_existing_files_are_replaced_only_on_demand(trajectory, tmp_path, name):
    path = tmp_path / name
    path.write_text("mine")
    with pytest.raises(pf.InvalidInput, match="--overwrite"):
        pf.export_trajectory(trajectory, path)
    assert path.read_text() == "mine"
    pf.export_trajectory(trajectory, path, overwrite=True)
    assert path.read_bytes() != b"mine"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["out.txt", "out", "out.h5", "out.NPZ.gz"])
def test_unknown_suffixes(trajectory, tmp_path, name):
    with pytest.raises(pf.InvalidInput, match=r"\.npz, \.csv"):
        pf.export_trajectory(trajectory, tmp_path / name)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("frame", [6, -7, 100])
def test_frames_that_are_not_there(trajectory, tmp_path, frame):
    with pytest.raises(pf.InvalidInput, match=f"frame = {frame}"):
        pf.export_trajectory(trajectory, tmp_path / "out.csv", frame=frame)
    assert not list(tmp_path.iterdir())


def test_the_command_prints_where_it_wrote(trajectory, tmp_path, capsys):
    assert main(["export", str(trajectory.path), "-o", str(tmp_path / "out.csv"), "--frame", "-1"]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'out.csv'}\n"
    np.testing.assert_array_equal(table(tmp_path / "out.csv")[1].T, trajectory.particles(-1).particles)
