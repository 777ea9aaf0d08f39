"""Files that somebody damaged: what is read of them is true, the rest is refused, and `repair` saves what can be."""

import shutil
import struct
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest

import particleflow as pf
from particleflow.cli import main
from particleflow.hdf5 import GROWING, plain_datasets
from particleflow.repairing import repair

GOLDEN = Path(__file__).parent.parent / "data" / "trajectories"
M, D = 40, 3


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A file of 200 kB whose flow slides along kinks, so that all that a checkpoint may hold is there but moments."""
    rng = np.random.default_rng(0)
    data = pf.dataset_from_arrays(rng.normal(size=(16, 2)), rng.normal(size=16), bias=True, test_fraction=0.25, rng=1)
    path = tmp_path_factory.mktemp("whole") / "run.h5"
    energy = pf.EmpiricalEnergy(pf.TwoLayer("relu"), data, strength=0.01)
    pf.solve(
        energy,
        pf.gaussian(M, D, rng=0),
        1.0,
        method="euler",
        step=0.05,
        frames=[0.05 * k for k in range(1, 20)],
        file=path,
    )
    return path


def contents(run):
    frames = [run.particles(k).particles for k in range(len(run))]
    data = {name: getattr(run.data, name) for name in ("X", "y", "X_test", "y_test", "x_mean", "features")}
    memory = {name: value for name, value in run.checkpoint.items() if value is not None}
    return {"time": run.time, "frames": frames, "config": run.config_text, **data, **memory, **run.observables}


def chunks(path):
    """Yield (dataset, offset, length) of all values in a file."""
    with h5py.File(path) as file:
        for dataset in plain_datasets(file):
            if dataset.chunks is None:
                if (offset := dataset.id.get_offset()) is not None:
                    yield dataset.name, offset, dataset.id.get_storage_size()
                continue
            for k in range(dataset.id.get_num_chunks()):
                chunk = dataset.id.get_chunk_info(k)
                yield dataset.name, chunk.byte_offset, chunk.size


def damaged(whole, folder, change):
    """Return a copy whose bytes were changed."""
    content = bytearray(whole.read_bytes())
    changed = change(content)
    content = content if changed is None else changed
    path = folder / "damaged.h5"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("damage", ["flip", "zeros", "ones"])
def test_no_value_is_read_that_was_not_written(whole, tmp_path, damage):
    """Every array, in its middle; or the whole of it lost, as where a disk lost a block."""
    places = {name: (offset, size) for name, offset, size in chunks(whole)}
    assert {"/config", "/data/X", "/data/features", "/particles/w", "/observables/energy", "/time"} <= places.keys()
    for name, (offset, size) in places.items():

        def change(content, offset=offset, size=size):
            if damage == "flip":
                content[offset + size // 3] ^= 4
            else:
                content[offset : offset + size] = (b"\0" if damage == "zeros" else b"\xff") * size

        with pytest.raises(pf.TrajectoryError) as caught, pf.open(damaged(whole, tmp_path, change)) as run:
            contents(run)
            pytest.fail(f"damage of {name} is not seen")
        assert "\n" not in str(caught.value)
        assert "damaged.h5" in str(caught.value)


def test_all_but_values_of_variable_length_carry_checksums(whole):
    """No structure of the old kinds, which have none: B-trees and symbol tables; the one heap is for other programs."""
    content = whole.read_bytes()
    assert content[8] == 2
    for signature in (b"TREE", b"SNOD", b"HEAP"):
        assert signature not in content
    with h5py.File(whole) as file:
        for dataset in plain_datasets(file):
            kinds = {name for name in dataset.attrs if dataset.attrs.get_id(name).dtype.kind == "O"}
            assert kinds <= {"DIMENSION_LIST"}, dataset.name
            assert dataset.chunks is not None or dataset.size == 0 or dataset.name == "/config" or dataset.is_scale
        assert set(GROWING) == {"time", "contact"}


def test_cut_off_anywhere(whole, tmp_path):
    content = whole.read_bytes()
    for size in [*range(0, 100, 7), *range(100, len(content), 4999), len(content) - 1]:
        with pytest.raises(pf.TrajectoryError) as caught:
            pf.open(damaged(whole, tmp_path, lambda content, size=size: content[:size]))
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("nth", [0, 1])
def test_a_loop_without_end_in_hdf5_is_left(tmp_path, nth, capsys):
    """The size of an object in the global heap of an old file at which HDF5 goes on by 0 bytes."""
    content = bytearray((GOLDEN / "version-2-two-layer.h5").read_bytes())
    place = -1
    for _ in range(nth + 1):
        place = content.index(b"GCOL", place + 1)
    struct.pack_into("<Q", content, place + 24, 2**64 - 16)
    path = tmp_path / "run.h5"
    path.write_bytes(content)
    begin = time.monotonic()
    assert main(["show", str(path)]) == 2
    assert time.monotonic() - begin < 10
    assert "HDF5 does not come to an end" in capsys.readouterr().err


def test_texts_of_variable_length_are_read_by_another_process_first(whole, tmp_path, monkeypatch):
    """What others wrote into a file of ours may be damaged where no checksum tells."""
    path, calls = tmp_path / "run.h5", []
    shutil.copy(whole, path)
    monkeypatch.setattr("particleflow.hdf5._probe", calls.append)
    with pf.open(path) as run:
        assert (run.status, calls) == ("finished", [])
    with h5py.File(path, "r+") as file:
        file.attrs["status"] = "copied"
    with pf.open(path) as run:
        assert (run.status, calls) == ("copied", [path])


def test_groups_in_circles_and_attributes_without_end(whole, tmp_path):
    path = tmp_path / "run.h5"
    shutil.copy(whole, path)
    with h5py.File(path, "r+") as file:
        for k in range(3):
            file[f"observables/{k}"] = file["observables"]
    with pytest.raises(pf.TrajectoryError, match="another name"):
        pf.open(path)
    shutil.copy(whole, path)
    with h5py.File(path, "r+", libver=("v110", "v110")) as file:
        file.attrs["format"] = np.zeros(2**21 + 1)
    with pytest.raises(pf.TrajectoryError, match="bytes"):
        pf.open(path)


# --- repair -----------------------------------------------------------------------------------------------------------


def test_what_is_left_of_a_file_that_was_cut_off_is_saved(whole, tmp_path):
    """The frames that are saved are those of the whole file, and the more the later the cut."""
    content, counts = whole.read_bytes(), []
    with pf.open(whole) as run:
        truth = contents(run)
    for size in np.linspace(100, len(content) - 1, 25).astype(int):
        path, output = damaged(whole, tmp_path, lambda content, size=size: content[:size]), tmp_path / "saved.h5"
        before = path.read_bytes()
        try:
            found = repair(path, output, overwrite=True)
        except pf.TrajectoryError as error:
            assert "nothing can be saved" in str(error)
            counts.append(0)
            continue
        finally:
            assert path.read_bytes() == before
        counts.append(len(found.saved))
        with pf.open(output) as run:
            assert run.config_text == truth["config"]
            assert found.frames == len(truth["time"])
            np.testing.assert_array_equal(run.time, truth["time"][list(found.saved)])
            for k, frame in enumerate(found.saved):
                np.testing.assert_array_equal(run.particles(k).particles, truth["frames"][frame])
            for name, values in run.observables.items():
                there = ~np.isnan(values)
                np.testing.assert_array_equal(values[there], truth[name][list(found.saved)][there])
            np.testing.assert_array_equal(run.data.X, truth["X"])
            assert run.status == "interrupted" or found.saved[-1] == found.frames - 1
    assert counts == sorted(counts)
    assert counts[-1] >= 19
    assert {path.name for path in tmp_path.iterdir()} == {"damaged.h5", "saved.h5"}


def test_frames_on_a_bad_block_are_left_out_and_the_flow_goes_on(whole, tmp_path, capsys):
    """The last frame and its checkpoint are there, so the flow ends where that of the whole file does."""
    places = [place for name, *place in chunks(whole) if name == "/particles/w"]
    lost = (3, 4, 9)

    def change(content):
        for k in lost:
            content[places[k][0] + 20] ^= 1

    path = damaged(whole, tmp_path, change)
    assert main(["repair", str(path)]) == 0
    said = capsys.readouterr().out
    assert "saved 18 of 21 frames" in said
    assert "lost: frames 3 to 4, 9\n" in said
    assert main(["repair", str(path)]) == 2
    assert "exists already" in capsys.readouterr().err
    with pf.open(tmp_path / "damaged-repaired.h5") as run, pf.open(whole) as truth:
        kept = [k for k in range(21) if k not in lost]
        np.testing.assert_array_equal(run.time, truth.time[kept])
        for k, frame in enumerate(kept):
            np.testing.assert_array_equal(run.particles(k).particles, truth.particles(frame).particles)
        energy, status = pf.EmpiricalEnergy(run.model, run.data, strength=0.01), run.status
        assert run.checkpoint["frame"] == 17
        assert {k: v for k, v in run.checkpoint.items() if k != "frame" and np.ndim(v) == 0 and v is not None} == {
            k: v for k, v in truth.checkpoint.items() if k != "frame" and np.ndim(v) == 0 and v is not None
        }
        np.testing.assert_array_equal(run.checkpoint["contacts"], truth.checkpoint["contacts"])
    assert status == "finished"
    assert energy.data.n == 12


def test_whole_files_need_no_repair_and_others_cannot_have_it(whole, tmp_path, capsys):
    assert main(["repair", str(whole)]) == 0
    assert "nothing to repair: all 21 frames" in capsys.readouterr().out
    assert list(whole.parent.iterdir()) == [whole]
    (tmp_path / "text.h5").write_text("no HDF5")
    old = (GOLDEN / "version-2-two-layer.h5").read_bytes()
    (tmp_path / "old.h5").write_bytes(old[: len(old) - 1])
    for name, why in {"text.h5": "nothing can be saved", "old.h5": "older particleflow", "no.h5": "not exist"}.items():
        assert main(["repair", str(tmp_path / name)]) == 2
        assert why in capsys.readouterr().err
    assert {path.name for path in tmp_path.iterdir()} == {"text.h5", "old.h5"}


# --- by chance --------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform != "linux", reason="watches processes as Linux does")
def test_no_damage_hangs_crashes_or_misleads(tmp_path):
    """A small share of `python -m validation.damaged_files`."""
    from validation.damaged_files import examine, read, repaired, show, show_json

    counts = examine(60, 11, tmp_path, commands=(show, show_json, read, repaired))
    assert sum(sum(row.values()) for row in counts.values()) == 60
    assert {what for row in counts.values() for what in row} <= {"read", "refused"}
