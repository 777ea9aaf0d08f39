"""The file under a trajectory: whatever kills the process, it is in one of its committed states."""

import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from particleflow.journal import JournaledFile, forget, recover

writes = st.lists(st.tuples(st.integers(0, 60), st.binary(min_size=1, max_size=20)), max_size=8)
START = bytes(range(40))


def apply(content, changes):
    """Return what a plain file holds after these writes."""
    content = bytearray(content)
    for at, data in changes:
        content.extend(bytes(max(0, at + len(data) - len(content))))
        content[at : at + len(data)] = data
    return bytes(content)


def opened(tmp_path, name="file"):
    path = tmp_path / name
    path.write_bytes(START)
    return path, JournaledFile(path)


def put(file, changes):
    for at, data in changes:
        file.seek(at)
        assert file.write(data) == len(data)


def content_of(file):
    length = file.seek(0, os.SEEK_END)
    file.seek(0)
    return file.read(length + 10)


@given(first=writes, second=writes, cut=st.integers(0, 80))
def test_it_reads_as_a_plain_file_and_commits_become_part_of_it(tmp_path_factory, first, second, cut):
    path, file = opened(tmp_path_factory.mktemp("journal"))
    expected = START
    for changes in (first, second):
        put(file, changes)
        expected = apply(expected, changes)
        assert content_of(file) == expected
        file.commit()
        assert path.read_bytes() == expected
    file.truncate(cut)
    file.commit()
    assert path.read_bytes() == expected[:cut].ljust(cut, b"\0")
    file.close()
    assert list(path.parent.iterdir()) == [path]


@given(first=writes, second=writes, data=st.data())
def test_a_process_that_dies_leaves_the_state_before_or_after_a_commit(tmp_path_factory, first, second, data):
    """All stages of a commit, made by hand: the journal half written, and half carried out."""
    folder = tmp_path_factory.mktemp("journal")
    path, file = opened(folder)
    put(file, first)
    file.commit()
    before = path.read_bytes()
    put(file, second)
    after = apply(before, second)

    died = path.read_bytes()  # before the commit: what lies beyond the end belongs to nothing
    assert died[: len(before)] == before

    kept = {}
    unlink, path_type = type(path).unlink, type(path)

    def keep(self, **options):
        kept["journal"] = self.read_bytes()
        unlink(self, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(path_type, "unlink", keep)
        file.commit()
    file.close()
    if "journal" not in kept:
        return
    journal = folder / "file.journal"

    part = kept["journal"][: data.draw(st.integers(0, len(kept["journal"]) - 1))]
    path.write_bytes(died)
    journal.write_bytes(part)
    recover(path)
    assert path.read_bytes() == died

    changed = bytearray(died.ljust(len(after), b"\0"))
    share = data.draw(st.integers(0, len(after)))
    changed[:share] = after[:share]
    path.write_bytes(bytes(changed))
    journal.write_bytes(kept["journal"])
    recover(path)
    assert path.read_bytes() == after
    assert list(folder.iterdir()) == [path]


def test_after_an_error_the_file_is_what_it_was(tmp_path):
    path, file = opened(tmp_path)
    put(file, [(3, b"changed"), (40, b"appended")])
    file.abandon()
    put(file, [(0, b"more"), (50, b"and more")])  # HDF5 goes on writing, and reads what it wrote
    assert content_of(file) == apply(START, [(3, b"changed"), (0, b"more"), (40, b"appended"), (50, b"and more")])
    file.commit()
    file.close()
    assert path.read_bytes() == START


def test_a_full_disk_shows_at_the_commit(tmp_path, monkeypatch):
    path, file = opened(tmp_path)

    class Full:
        def __getattr__(self, name):
            return getattr(inner, name)

        def write(self, data):
            raise OSError(28, "No space left on device")

    inner, file._file = file._file, Full()
    put(file, [(40, b"appended")])
    with pytest.raises(OSError, match="No space"):
        file.commit()
    file.commit()
    file.close()
    assert path.read_bytes() == START


def test_it_is_held_by_one_alone(tmp_path):
    path, file = opened(tmp_path)
    with pytest.raises(OSError, match="in use"):
        JournaledFile(path)
    (tmp_path / "file.journal").write_bytes(b"of the process that holds it")
    recover(path)  # leaves it alone
    assert (tmp_path / "file.journal").exists()
    file.close()
    forget(path)
    assert list(tmp_path.iterdir()) == [path]
    JournaledFile(path).close()


def test_hdf5_lives_in_it(tmp_path):
    h5py = pytest.importorskip("h5py")
    path = tmp_path / "run.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("x", shape=(0, 50), maxshape=(None, 50), chunks=(1, 50), dtype="f8")
    disk = JournaledFile(path)
    rows = np.random.default_rng(0).normal(size=(300, 50))
    with h5py.File(disk, "r+") as file:
        for k, row in enumerate(rows):
            file["x"].resize(k + 1, axis=0)
            file["x"][k] = row
            file.flush()
            before = path.read_bytes()
            disk.commit()
            if k in (10, 70, 200):  # a copy is a file of its own, before the commit as after it
                for content, length in ((before, k), (path.read_bytes(), k + 1)):
                    (tmp_path / "copy.h5").write_bytes(content)
                    with h5py.File(tmp_path / "copy.h5") as copy:
                        np.testing.assert_array_equal(copy["x"], rows[:length])
    disk.commit()
    disk.close()
    with h5py.File(path) as file:
        np.testing.assert_array_equal(file["x"], rows)
