"""Trajectory files: what is in them, when it gets there, what other programs see, and what is refused."""

import json
import os
import shutil
import subprocess
import sys
import warnings
import zlib
from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray

import particleflow as pf
from particleflow import hdf5, storage

N, D, M = 12, 3, 5  # D with the bias


def dataset():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(16, 2)), rng.normal(size=16)
    options = {"features": ["size", "Größe"], "target": "price", "origin": "market.csv"}
    return pf.dataset_from_arrays(X, y, bias=True, standardize=True, test_fraction=0.25, rng=1, **options)


def problem(seed=0):
    return pf.EmpiricalEnergy(pf.TwoLayer("tanh"), dataset(), strength=0.01), pf.gaussian(M, D, rng=seed)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A stored flow: the path and the result."""
    path = tmp_path_factory.mktemp("run") / "run.h5"
    return path, pf.solve(*problem(), 1.0, frames=[0.25, 0.5], file=path)


@pytest.fixture
def copy(run, tmp_path):
    """A copy of its file to damage."""
    return shutil.copy(run[0], tmp_path / "copy.h5")


# --- what is in a file ------------------------------------------------------------------------------------------------


def test_plain_hdf5_shows_the_documented_datasets(run):
    path, result = run
    with h5py.File(path, "r") as file:
        assert set(file) == {"time", "particles", "observables", "checkpoint", "config", "data"}
        shapes = {
            "time": (4,),
            "particles/a": (4, M),
            "particles/w": (4, M, D),
            "observables/time": (4,),
            "observables/energy": (4,),
            "data/X": (N, D),
            "data/y": (N,),
            "data/X_test": (4, D),
            "data/y_test": (4,),
        }
        for name, shape in shapes.items():
            assert file[name].shape == shape, name
            assert file[name].dtype == np.float64, name
            assert (file[name].compression, file[name].compression_opts) == ("gzip", 0)  # checked, not compressed
        np.testing.assert_array_equal(file["time"], [0, 0.25, 0.5, 1])
        np.testing.assert_array_equal(file["particles/a"][-1], result.measure["a"])
        np.testing.assert_array_equal(file["particles/w"][-1], result.measure["w"])
        assert set(file["observables"]) == set(result.observables)
        slots = [dict(file[f"checkpoint/{slot}"].attrs) for slot in ("even", "odd")]
        names = {"frame", "t", "dissipated", "step", "error", "steps", "rejected", "evaluations", "births", "fallen"}
        assert [slot["frame"] for slot in slots] == [2, 3]
        assert [slot["t"] for slot in slots] == [0.5, 1.0]
        assert all(set(slot) == names for slot in slots)


def test_dimension_scales_are_attached(run):
    with h5py.File(run[0], "r") as file:
        names = {
            "particles/a": ["time", "particle"],
            "particles/w": ["time", "particle", "feature"],
            "observables/energy": ["time"],
            "data/X": ["sample", "feature"],
            "data/X_test": ["test_sample", "feature"],
            "data/y": ["sample"],
            "data/y_test": ["test_sample"],
        }
        for name, dimensions in names.items():
            found = [dimension[0].name.rpartition("/")[2] for dimension in file[name].dims]
            assert found == dimensions, name
        assert file["particles/w"].dims[0][0] == file["time"]
        assert file["observables/risk"].dims[0][0] == file["observables/time"]


def test_attributes_of_the_file(run):
    path, result = run
    with h5py.File(path, "r") as file:
        attributes = dict(file.attrs)
        text = file["config"][()].decode()
    assert attributes["format"] == b"particleflow-trajectory"
    assert attributes["format_version"] == 3
    assert attributes["particleflow_version"].decode() == pf.__version__
    assert attributes["status"] == b"finished"
    assert attributes["message"].decode() == result.message
    assert attributes["seconds"] == result.seconds
    assert attributes["t_end"] == 1.0
    assert len(attributes["fingerprint"]) == 64
    versions = json.loads(attributes["versions"])
    assert versions["numpy"] == np.__version__
    assert set(versions) == {"particleflow", "python", "numpy", "numba", "scipy", "h5py", "hdf5"}
    assert 'regularizer = "path-norm"' in text


def test_xarray_opens_the_root_and_every_group(run):
    path, result = run
    with xarray.open_dataset(path, engine="h5netcdf") as root:
        assert dict(root.sizes) == {"time": 4}
        np.testing.assert_array_equal(root.time, [0, 0.25, 0.5, 1])
        assert root.attrs["status"] == "finished"
    with xarray.open_dataset(path, group="particles", engine="h5netcdf") as particles:
        assert dict(particles.sizes) == {"time": 4, "particle": M, "feature": D}
        assert particles.a.dims == ("time", "particle")
        assert particles.w.dims == ("time", "particle", "feature")
        np.testing.assert_array_equal(particles.w[-1], result.measure["w"])
    with xarray.open_dataset(path, group="observables", engine="h5netcdf") as observables:
        assert dict(observables.sizes) == {"time": 4}
        assert set(observables.data_vars) == set(result.observables) - {"time"}
        np.testing.assert_array_equal(observables.energy, result.observables["energy"])
        assert observables.energy.sel(time=0.25) == result.observables["energy"][1]
    with xarray.open_dataset(path, group="data", engine="h5netcdf") as data:
        assert dict(data.sizes) == {"sample": N, "test_sample": 4, "feature": D, "input": D - 1}
        assert data.attrs["target"] == "price"


def test_a_trajectory_is_what_the_result_was(run):
    path, result = run
    with pf.open(path) as trajectory:
        assert isinstance(trajectory, pf.Trajectory)
        assert len(trajectory) == 4
        assert trajectory.m == M
        assert trajectory.layout == result.measure.layout
        np.testing.assert_array_equal(trajectory.time, result.observables["time"])
        np.testing.assert_array_equal(trajectory.particles(0).particles, problem()[1].particles)
        np.testing.assert_array_equal(trajectory.particles(-1).particles, result.measure.particles)
        np.testing.assert_array_equal(trajectory.particles(3).particles, result.measure.particles)
        assert next(iter(trajectory.observables)) == "time"
        assert set(trajectory.observables) == set(result.observables)
        for name, values in result.observables.items():
            np.testing.assert_array_equal(trajectory.observables[name], values, err_msg=name)
        assert (trajectory.status, trajectory.message) == (result.status, result.message)
        assert (trajectory.seconds, trajectory.t_end) == (result.seconds, 1.0)
        counts = {name: getattr(result, name) for name in ("steps", "rejected", "evaluations")}
        assert {name: trajectory.checkpoint[name] for name in counts} == counts
        assert trajectory.checkpoint["t"] == 1.0
        assert trajectory.config == {
            "model": {"kind": "two-layer", "activation": "tanh", "particles": M},
            "energy": {"loss": "squared", "regularizer": "path-norm", "strength": 0.01, "kernel": "empirical"},
            "flow": {"method": "dopri5", "t_end": 1.0, "rtol": 1e-6, "atol": 1e-12, "frames": [0.25, 0.5]},
        }
        for frame in (4, -5):
            with pytest.raises(pf.InvalidInput, match=f"frame = {frame}"):
                trajectory.particles(frame)
        assert "4 frames of 5 particles" in repr(trajectory)


def test_data_come_back_as_they_were(run):
    data = dataset()
    with pf.open(run[0]) as trajectory:
        back = trajectory.data
    assert back.hash == data.hash
    for name in ("X", "y", "X_test", "y_test", "x_mean", "x_scale"):
        np.testing.assert_array_equal(getattr(back, name), getattr(data, name), err_msg=name)
    for name in ("features", "target", "bias", "y_mean", "y_scale", "origin", "n", "d", "n_test"):
        assert getattr(back, name) == getattr(data, name), name
    np.testing.assert_array_equal(back.inputs_in_units(back.X), data.inputs_in_units(data.X))


def test_data_that_are_too_large_leave_hash_and_origin(tmp_path, monkeypatch):
    monkeypatch.setattr(storage, "_DATA_BYTES", 100)
    pf.solve(*problem(), 1.0, frames=1, file=tmp_path / "run.h5")
    with pf.open(tmp_path / "run.h5") as trajectory:
        assert trajectory.data is None
        assert trajectory.particles(-1).m == M
    with h5py.File(tmp_path / "run.h5", "r") as file:
        assert file["data"].attrs["hash"].decode() == dataset().hash
        assert file["data"].attrs["origin"] == b"market.csv"


@pytest.mark.parametrize("d", [1, 20_000])
def test_any_number_of_features(tmp_path, d):
    """Attributes beyond 64 kB need the file format of HDF5 1.8."""
    rng = np.random.default_rng(0)
    energy = pf.EmpiricalEnergy(pf.TwoLayer("tanh"), (rng.normal(size=(3, d)), rng.normal(size=3)))
    pf.solve(energy, pf.sphere(2, d, rng=0), 0.1, frames=1, file=tmp_path / "run.h5")
    with pf.open(tmp_path / "run.h5") as trajectory:
        assert trajectory.data.features == energy.data.features
        assert trajectory.layout == energy.layout


def test_large_clouds_are_stored_in_several_chunks(tmp_path, monkeypatch):
    monkeypatch.setattr(hdf5, "_CHUNK_BYTES", 100)
    result = pf.solve(*problem(), 1.0, frames=3, file=tmp_path / "run.h5")
    with pf.open(tmp_path / "run.h5") as trajectory:
        np.testing.assert_array_equal(trajectory.particles(-1).particles, result.measure.particles)
    with h5py.File(tmp_path / "run.h5", "r") as file:
        block = file["particles/w"].id
        chunks = [block.get_chunk_info(k) for k in range(block.get_num_chunks())]
        offsets = [chunk.chunk_offset for chunk in chunks[:3]]
        assert offsets == [(0, 0, 0), (0, 3, 0), (1, 0, 0)]  # of 3 and 2 rows
        for chunk in chunks:
            assert chunk.filter_mask == 0
            assert len(zlib.decompress(block.read_direct_chunk(chunk.chunk_offset)[1])) == 3 * D * 8


def test_observables_of_the_user_are_stored_even_if_they_come_late(tmp_path):
    class Late(pf.Observer):
        def measure(self, state):
            return {"late": 3.0} if state.t > 0.4 else {}

    # in memory every frame has the observables of the first; see the file for the others
    pf.solve(*problem(), 1.0, frames=[0.25, 0.5], observers=[Late()], file=tmp_path / "run.h5")
    with pf.open(tmp_path / "run.h5") as trajectory:
        np.testing.assert_array_equal(trajectory.observables["late"], [np.nan, np.nan, 3.0, 3.0])


# --- when it gets there -----------------------------------------------------------------------------------------------


class Field:
    """ẋ = 1, and a look at the file whenever the velocity is asked for."""

    layout = pf.Layout((("x", ()),))

    def __init__(self, path):
        self.path, self.copies = path, []

    def check(self, measure):
        pass

    def make_velocity(self, m):
        def velocity(theta, out):
            if self.path.exists():
                self.copies.append(shutil.copy(self.path, self.path.with_name(f"copy-{len(self.copies)}.h5")))
            out[...] = 1.0
            return {"risk": 1.0}

        return velocity

    def conserved(self, theta):
        return {}

    def describe(self):
        return {"model": {"kind": "field"}, "energy": {"kernel": "field"}}


def test_everything_known_is_on_disk_before_the_first_step_and_every_frame_at_once(tmp_path):
    """Another process sees what a copy of the file holds; Euler asks for a velocity at the end of every step."""
    field = Field(tmp_path / "run.h5")
    measure = pf.EmpiricalMeasure([[2.0]], field.layout)
    options = {"method": "euler", "step": 0.25, "frames": [0.25, 0.5, 0.75], "file": field.path}
    pf.solve(field, measure, 1.0, config='greeting = "hello"', **options)
    assert len(field.copies) == 4
    for k, path in enumerate(field.copies):
        with pf.open(path) as trajectory:  # taken during step k + 1
            assert trajectory.status == "running"
            assert trajectory.config == {"greeting": "hello"}
            assert trajectory.versions["h5py"] == h5py.__version__
            assert trajectory.t_end == 1.0
            assert len(trajectory.fingerprint) == 64
            np.testing.assert_array_equal(trajectory.time, 0.25 * np.arange(k + 1))
            np.testing.assert_array_equal(trajectory.particles(-1)["x"], [2 + 0.25 * k])
            np.testing.assert_array_equal(trajectory.observables["time"], trajectory.time)
            assert trajectory.checkpoint["steps"] == k
            assert trajectory.data is None
    with pf.open(field.path) as trajectory:
        assert (trajectory.status, len(trajectory)) == ("finished", 5)


def test_a_reader_sees_whole_states_while_a_flow_writes(tmp_path):
    """In a loop, all that was opened before too; Euler for ẋ = 1 tells what each frame must hold."""
    code = """
from pathlib import Path
import numpy as np
import particleflow as pf
from test_storage import Field

field = Field(Path("nowhere"))
start = pf.EmpiricalMeasure(np.zeros((200, 1)), field.layout)
times = [0.01 * k for k in range(1, 301)]
pf.solve(field, start, 3.0, method="euler", step=0.01, frames=times, file="run.h5")
"""
    places = (str(Path(__file__).parent), os.environ.get("PYTHONPATH", ""))
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(places)}
    process = subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path, env=environment)
    path, first, seen = tmp_path / "run.h5", None, 0
    with process, warnings.catch_warnings():
        warnings.simplefilter("error")
        while process.poll() is None or seen == 0:
            if not path.exists():
                continue
            try:
                trajectory = pf.open(path)
            except pf.TrajectoryError as error:
                assert "no frame" in str(error)
                continue
            first = first or trajectory
            seen += 1
            for file in (first, trajectory):
                np.testing.assert_allclose(file.particles(-1).particles, file.time[-1], rtol=1e-12)
                assert len(file.observables["energy"]) == len(file)
            if trajectory is not first:
                trajectory.close()
    assert process.returncode == 0
    first.close()


def test_no_file_is_half_made_or_half_replaced(tmp_path, monkeypatch):
    """Whatever happens while the new file is written, the old one stays and nothing is left beside it."""
    path = tmp_path / "run.h5"
    pf.solve(*problem(), 1.0, frames=1, file=path)
    before = path.read_bytes()

    def fail(*_):
        raise OSError("no room")

    monkeypatch.setattr(storage, "_write_data", fail)
    with pytest.raises(pf.TrajectoryError, match="no room") as caught:
        pf.solve(*problem(1), 1.0, frames=1, file=path, overwrite=True)
    assert str(path) in str(caught.value)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("overwrite", [False, True])
def test_only_trajectories_are_replaced_and_only_on_demand(tmp_path, overwrite):
    for name, content in {"notes.txt": b"my notes", "empty.h5": b"", "run.h5": None}.items():
        path = tmp_path / name
        if content is None:
            pf.solve(*problem(), 1.0, frames=1, file=path)
        else:
            path.write_bytes(content)
        before = path.read_bytes()
        if content is None and overwrite:
            pf.solve(*problem(1), 1.0, frames=1, file=path, overwrite=True)
            assert path.read_bytes() != before
            continue
        with pytest.raises(pf.InvalidInput, match=r"output\.file"):
            pf.solve(*problem(1), 1.0, frames=1, file=path, overwrite=overwrite)
        assert path.read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 3


def test_a_trajectory_may_be_continued_into_itself(tmp_path):
    """Restarting from the last frame of the very file that is replaced."""
    energy, measure = problem()
    first = pf.solve(energy, measure, 0.5, frames=1, file=tmp_path / "run.h5")
    start = pf.measure_from_file(tmp_path / "run.h5", energy.layout)
    pf.solve(energy, start, 0.5, frames=1, file=tmp_path / "run.h5", overwrite=True)
    with pf.open(tmp_path / "run.h5") as trajectory:
        np.testing.assert_array_equal(trajectory.particles(0).particles, first.measure.particles)


# --- files that are damaged or foreign --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["time", "particles/a", "particles/w"])
def test_a_torn_last_frame_is_left_out_with_a_notice(copy, run, name):
    with h5py.File(copy, "r+") as file:
        file[name].resize(3, axis=0)
    with pytest.warns(UserWarning, match="not complete") as caught:
        trajectory = pf.open(copy)
    assert caught[0].filename == __file__
    with trajectory, pf.open(run[0]) as whole:
        assert len(trajectory) == 3
        np.testing.assert_array_equal(trajectory.time, whole.time[:3])
        for frame in (0, 2):
            expected = whole.particles(frame).particles
            np.testing.assert_array_equal(trajectory.particles(frame).particles, expected)
        np.testing.assert_array_equal(trajectory.particles(-1).particles, whole.particles(2).particles)
        with pytest.raises(pf.InvalidInput):
            trajectory.particles(3)


def test_torn_observables_are_cut_to_one_length(copy):
    with h5py.File(copy, "r+") as file:
        file["observables/risk"].resize(2, axis=0)
    with pf.open(copy) as trajectory:
        assert {len(values) for values in trajectory.observables.values()} == {2}
        assert len(trajectory) == 4


def test_whole_files_open_without_notice(run):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pf.open(run[0]).close()


def refused(path):
    with pytest.raises(pf.TrajectoryError) as caught:
        pf.open(path)
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert path.name in sentence
    return sentence


def test_files_that_are_not_hdf5(tmp_path):
    assert "does not exist" in refused(tmp_path / "no.h5")
    assert "not a file" in refused(tmp_path)
    for name, content in {"empty.h5": b"", "text.h5": b"time, energy\n0, 1\n"}.items():
        (tmp_path / name).write_bytes(content)
        assert "HDF5" in refused(tmp_path / name)


def test_other_hdf5_files(tmp_path):
    path = tmp_path / "other.h5"
    with h5py.File(path, "w") as file:
        file["time"] = np.arange(3.0)
    assert "not a particleflow trajectory" in refused(path)
    with h5py.File(path, "r+") as file:
        file.attrs["format"] = 3.5
    assert "not a particleflow trajectory" in refused(path)


def test_formats_of_the_future(copy):
    with h5py.File(copy, "r+") as file:
        file.attrs["format_version"] = 4
    sentence = refused(copy)
    assert "format version 4" in sentence
    assert "up to 3" in sentence


@pytest.mark.parametrize("link", [h5py.ExternalLink("other.h5", "/x"), h5py.SoftLink("/particles/w")])
@pytest.mark.parametrize("name", ["particles/a", "observables/risk", "data"])
def test_links_to_other_places(copy, name, link):
    with h5py.File(copy, "r+") as file:
        del file[name]
        file[name] = link
    assert f"/{name} is a link" in refused(copy)


def test_data_in_other_files(copy, tmp_path):
    (tmp_path / "secret").write_bytes(bytes(4 * 8 * M))
    with h5py.File(copy, "r+") as file:
        del file["particles/a"]
        file.create_dataset("particles/a", (4, M), "f8", external=[(tmp_path / "secret", 0, 4 * 8 * M)])
    assert "another file" in refused(copy)
    virtual = h5py.VirtualLayout((4, M), "f8")
    virtual[...] = h5py.VirtualSource(tmp_path / "other.h5", "x", (4, M))
    with h5py.File(copy, "r+") as file:
        del file["particles/a"]
        file.create_virtual_dataset("particles/a", virtual)
    assert "another file" in refused(copy)


def test_absurd_sizes(copy):
    """A header that claims 10¹² particles costs neither memory nor time; a file that somebody compressed is read."""
    with h5py.File(copy, "r+") as file:
        a, attributes = file["particles/a"][...], dict(file["particles/a"].attrs)
        scales = [dimension[0] for dimension in file["particles/a"].dims]
        for options in ({"shape": (4, 10**12), "chunks": (1, 1000)}, {"data": a, "compression": "gzip"}):
            del file["particles/a"]
            block = file.create_dataset("particles/a", dtype="f8", **options)
            block.attrs["position"] = attributes["position"]
            for dimension, scale in zip(block.dims, scales, strict=True):
                dimension.attach_scale(scale)
            file.flush()
            if "shape" in options:
                shutil.copy(copy, copy.with_name("absurd.h5"))
    assert "claims" in refused(copy.with_name("absurd.h5"))
    with pf.open(copy) as trajectory:
        np.testing.assert_array_equal(trajectory.particles(-1)["a"], a[-1])


@pytest.mark.parametrize("name", ["time", "particles", "observables", "observables/time", "checkpoint", "config"])
def test_missing_parts(copy, name):
    with h5py.File(copy, "r+") as file:
        del file[name]
    assert name in refused(copy)


@pytest.mark.parametrize("name", ["format_version", "status", "message", "t_end", "fingerprint", "versions", "created"])
def test_missing_attributes(copy, name):
    with h5py.File(copy, "r+") as file:
        del file.attrs[name]
    assert "damaged" in refused(copy)


def test_parts_that_are_not_what_they_should_be(copy, run):
    def spoil(change):
        shutil.copy(run[0], copy)
        with h5py.File(copy, "r+") as file:
            change(file)
        assert "damaged" in refused(copy)

    def replace(name, value):
        def change(file):
            del file[name]
            file[name] = value

        return change

    spoil(replace("config", "not = = toml"))
    spoil(replace("time", 3.0))
    spoil(lambda file: file["particles/w"].attrs.__delitem__("position"))
    spoil(lambda file: [file["particles"].__delitem__(name) for name in ("a", "w")])
    spoil(lambda file: file.attrs.__setitem__("versions", "{"))
    spoil(lambda file: file.attrs.__setitem__("t_end", "soon"))


def test_particles_that_do_not_fit_each_other(copy):
    with h5py.File(copy, "r+") as file:
        del file["particles/a"]
        file.create_dataset("particles/a", data=np.zeros((4, M + 1)))
        file["particles/a"].attrs["position"] = 0
    with pf.open(copy) as trajectory, pytest.raises(pf.TrajectoryError, match="damaged"):
        trajectory.particles(0)


def test_a_file_without_frames(copy):
    with h5py.File(copy, "r+") as file:
        for name in ("time", "particles/a", "particles/w"):
            file[name].resize(0, axis=0)
    assert "no frame" in refused(copy)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.999])
def test_truncated_files(copy, share):
    content = copy.read_bytes()
    copy.write_bytes(content[: int(share * len(content))])
    refused(copy)


def test_refused_files_are_closed(copy):
    with h5py.File(copy, "r+") as file:
        del file["config"]
    refused(copy)
    with h5py.File(copy, "r+") as file:  # HDF5 would not open for writing what is still open for reading
        file.attrs["touched"] = True


# --- fingerprints -----------------------------------------------------------------------------------------------------

CONFIG = """
seed = 1
[data]
source = "teacher"
n = 6
d = 2
[model]
particles = 4
[flow]
t_end = 0.01
frames = 2
"""


def fingerprint(path, *changes, text=CONFIG):
    pf.read_config(text, changes=changes).run(path)
    with pf.open(path) as trajectory:
        return trajectory.fingerprint


def test_the_fingerprint_tells_everything_that_matters_and_nothing_else(tmp_path):
    changes = [
        ("seed=2",),
        ("data.n=7",),
        ("data.d=3",),
        ("data.bias=true",),
        ("data.teacher.neurons=3",),
        ("model.particles=5",),
        ("model.activation=tanh",),
        ("energy.loss=huber",),
        ("energy.regularizer=norm",),
        ("energy.strength=0.5",),
        ("initial.law=gaussian",),
        ("initial.radius=2.0",),
        ("flow.t_end=0.02",),
        ("flow.rtol=1e-5",),
        ("flow.atol=1e-9",),
        ("flow.frames=3",),
        ("flow.method=bs23",),
        ("flow.method=rk4", "flow.step=0.001"),
        ("flow.stop.energy=-1",),
    ]
    prints = [fingerprint(tmp_path / f"{k}.h5", *change) for k, change in enumerate([(), *changes])]
    assert len(set(prints)) == len(prints)
    assert fingerprint(tmp_path / "again.h5") == prints[0]
    assert fingerprint(tmp_path / "named.h5", "output.file=elsewhere.h5") == prints[0]
    reordered = CONFIG.replace("n = 6\nd = 2", "d = 2\nn = 6") + "# a comment\n"
    assert fingerprint(tmp_path / "reordered.h5", text=reordered) == prints[0]


def test_the_fingerprint_knows_the_data_and_the_particles(tmp_path):
    def of(energy, measure, **options):
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.h5"
        pf.solve(energy, measure, 0.01, **{"frames": 1} | options, file=path)
        with pf.open(path) as trajectory:
            return trajectory.fingerprint

    def energy(y):
        return pf.EmpiricalEnergy(pf.TwoLayer("tanh"), ([[1.0], [2.0]], [0.0, y]))

    start, other = pf.sphere(3, 1, rng=0), pf.sphere(3, 1, rng=1)
    prints = [
        of(energy(1.0), start),
        of(energy(np.nextafter(1.0, 2.0)), start),
        of(energy(1.0), other),
        of(energy(1.0), start, frames=2),
        of(energy(1.0), start, frames=[0.005]),
        of(energy(1.0), start, rtol=1e-7),
        of(energy(1.0), start, method="euler", step=0.01),
    ]
    assert len(set(prints)) == len(prints)
    assert of(energy(1.0), start) == prints[0]


def test_fingerprints_are_the_same_in_another_process(tmp_path):
    here = fingerprint(tmp_path / "here.h5")
    (tmp_path / "run.toml").write_text(CONFIG)
    subprocess.run(
        [sys.executable, "-m", "particleflow.cli", "run", "run.toml", "-o", "there.h5"],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        timeout=120,
        check=True,
    )
    with pf.open(tmp_path / "there.h5") as trajectory:
        assert trajectory.fingerprint == here


def test_a_tableau_may_be_given_in_place_of_its_name(tmp_path):
    results = [
        pf.solve(*problem(), 1.0, frames=1, method=method, file=tmp_path / f"{k}.h5")
        for k, method in enumerate(("bs23", pf.TABLEAUS["bs23"]))
    ]
    np.testing.assert_array_equal(*(result.measure.particles for result in results))
    with pf.open(tmp_path / "0.h5") as one, pf.open(tmp_path / "1.h5") as two:
        assert one.fingerprint == two.fingerprint
