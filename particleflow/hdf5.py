"""HDF5 in which everything carries a checksum, and files from elsewhere, whose damage must not hang this process.

In its newer form HDF5 covers its metadata with checksums, and zlib covers the values: what is damaged is an error. Not
so values of variable length (in what HDF5 calls the global heap), old symbol tables and the B-trees of old chunked
datasets: damaged ones may send the library into an endless loop, which no signal interrupts. So a file with such parts
is first walked through by a process of its own, under limits of time and memory.
"""

import io
import math
import subprocess
import sys
import zlib
from pathlib import Path

import h5py
import numpy as np

from particleflow.errors import TrajectoryError

GROWING = ("time", "contact")
"""The dimensions that grow while a flow runs."""

TROUBLE = (AttributeError, LookupError, ValueError, TypeError, OSError, RuntimeError, TrajectoryError)
"""What the reading of a damaged file may raise."""

CHECKED_SINCE = 3
"""The version of the format from which on everything in a file carries a checksum."""

LIBVER = "v110", "v110"
"""The form of HDF5 in which all metadata carry checksums."""

_FIRST_LIBVER = "v108", "v108"  # later ones do not open a file after a process that wrote it was killed
_CHECKSUM = {"compression": "gzip", "compression_opts": 0}  # of zlib, which compresses nothing at this level
_CHUNK_BYTES, _LONG_ROW = 2**20, 512  # bytes; rows that are read where they lie
_GROWTH = 256  # numbers in a chunk of a series: every frame puts one chunk of each into the journal
_SIGNATURE, _CHECKED_SUPERBLOCK = b"\x89HDF\r\n\x1a\n", 2
_PATIENCE, _MEMORY = 4.0, 2**31  # s, bytes of address space
_WALK = "import sys; sys.path[:] = sys.argv[2:]; from particleflow.hdf5 import walk; walk(sys.argv[1])"
_LARGEST_ATTRIBUTE = 2**24  # bytes
_LEAST_CHECKED, _COMPRESSION = 2**26, 200  # bytes; how much smaller a file may be that somebody compressed


def open_file(path, *, examined=False):
    """Open an HDF5 file for reading, without a lock, which could keep out the flow that is writing it.

    What was `examined` a moment ago and has merely grown is not examined again.

    Raises
    ------
    OSError
        If it is no HDF5 file, or its first part is damaged.
    TrajectoryError
        If it is unsafe to read: it leads to other files, claims absurd sizes, or is damaged.
    """
    if examined:
        return _open(path)
    with Path(path).open("rb") as stream:
        start = stream.read(len(_SIGNATURE) + 1)
    if not (start.startswith(_SIGNATURE) and start[-1] < _CHECKED_SUPERBLOCK):
        file = _open(path)
        try:
            if _has_checksums(file):
                return file
        except BaseException:
            file.close()
            raise
        file.close()
    _probe(path)
    return _open(path)


def _open(path):
    return _Reading(path)


class _Reading(h5py.File):
    """A file for reading that shares nothing with others of this process, nor takes any lock.

    HDF5 itself opens a file once: whoever opens it again in the same process gets what the first one remembers of it,
    although another process has written since. It does not see that a Python file is the same one.
    """

    def __init__(self, path):
        self._stream = io.FileIO(path)
        try:
            super().__init__(path, "r", driver="fileobj", fileobj=self._stream)
        except BaseException:
            self._stream.close()
            raise

    def close(self):
        """Close both."""
        super().close()
        self._stream.close()


def _has_checksums(file):
    """Return whether checksums cover all that a `particleflow.trajectory.Trajectory` reads of a file."""
    version = "format_version"
    if version not in file.attrs or _kind(file.attrs, version) not in "iu":
        return False
    if np.max(file.attrs[version]) < CHECKED_SINCE:
        return False
    datasets = plain_datasets(file)
    attributes = [file.attrs, *(file[name].attrs for name in ("data",) if name in file)]
    return all(dataset.dtype.kind != "O" for dataset in datasets) and all(
        _kind(table, name) != "O" for table in attributes for name in table
    )


def _kind(attributes, name):
    """Return the kind of an attribute, unless that is huge."""
    attribute = attributes.get_id(name)
    if attribute.get_storage_size() > _LARGEST_ATTRIBUTE:
        size = attribute.get_storage_size()
        raise TrajectoryError(f"a file is refused whose attribute {name} has {size:.3g} bytes")
    return attribute.dtype.kind


def _probe(path):
    """Let another process walk through the file; raise `TrajectoryError` unless it comes back."""
    name = repr(Path(path).name)
    try:
        child = subprocess.run(
            [sys.executable, "-c", _WALK, str(path), *sys.path],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            timeout=_PATIENCE,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise TrajectoryError(f"{name} is damaged: HDF5 does not come to an end with it") from None
    if child.returncode:
        reason = child.stderr.decode(errors="replace").strip().rpartition("\n")[2] or "HDF5 crashes on it"
        raise TrajectoryError(f"{name} is damaged: {reason.rpartition('Error: ')[2]}")


def walk(path):
    """Read all metadata and all texts of a file; for a process of its own, whose memory this limits."""
    try:
        import resource
    except ImportError:  # no such limits here
        pass
    else:
        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, resource.getrlimit(resource.RLIMIT_AS)[1]))
    with _open(path) as file:
        dict(file.attrs)
        for dataset in plain_datasets(file):
            dict(dataset.attrs)
            dict(dataset.parent.attrs)
            for dimension in dataset.dims:
                list(dimension.values())
            if dataset.dtype.kind == "O":
                dataset[...]


def plain_datasets(group, _seen=None):
    """Return the datasets below a group.

    Raises
    ------
    TrajectoryError
        If something there leads to other places or other files, or claims more than the file can hold.
    """
    seen, found = set() if _seen is None else _seen, []
    for name in group:
        place = f"{group.name.rstrip('/')}/{name}"
        if group.id.links.get_info(name.encode()).type != h5py.h5l.TYPE_HARD:
            raise _refusal(group, f"is refused: {place} is a link to another place")
        member = group[name]
        address = h5py.h5o.get_info(member.id).addr
        if address in seen:
            raise _refusal(group, f"is refused: {place} has another name too")
        seen.add(address)
        if isinstance(member, h5py.Group):
            found += plain_datasets(member, seen)
        elif isinstance(member, h5py.Dataset):
            check_place(member)
            _check_extent(member)
            found.append(member)
        else:
            raise _refusal(group, f"is refused: {place} is neither a group nor a dataset")
    return found


def check_place(dataset):
    """Raise `TrajectoryError` if the data of a dataset lie in another file."""
    form = dataset.id.get_create_plist()
    if form.get_layout() == h5py.h5d.VIRTUAL or form.get_external_count():
        raise _refusal(dataset, f"is refused: the data of {dataset.name} lie in another file")


def _check_extent(dataset):
    """Refuse a dataset that claims to be much larger than what the file holds of it, before it fills the memory."""
    claimed, stored = dataset.size * dataset.dtype.itemsize, dataset.id.get_storage_size()
    if claimed <= _LEAST_CHECKED or claimed <= _COMPRESSION * stored:
        return
    if not dataset.is_scale or dataset.name.endswith("/time"):  # others are mere lengths
        raise _refusal(dataset, f"is damaged: {dataset.name} claims {claimed:.3g} bytes and holds {stored:.3g}")


def _refusal(member, why):
    return TrajectoryError(f"{Path(member.file.filename).name!r} {why}")


def text_of(value):
    """Return a text as str, what is no text as it is."""
    return value.decode() if isinstance(value, bytes) else value


def checksum(text):
    """Return the CRC-32 of a text."""
    return zlib.crc32(text.encode())


def text_array(texts, room=1):
    """Return texts as an array of one fixed length in bytes, at least `room`; one text as an array without axes.

    Texts of variable length would lie where HDF5 keeps no checksums.
    """
    single = isinstance(texts, str)
    encoded = [text.encode() for text in ((texts,) if single else texts)]
    length = max([room, 1, *map(len, encoded)])
    values = np.array(encoded, dtype=h5py.string_dtype("utf-8", length))
    return values[0:1].reshape(()) if single else values


def write_text(attributes, name, text, room=1):
    """Set an attribute to a text, in place where it fits, cut to `room` bytes where that is more than 1."""
    if room > 1:
        text = text.encode()[:room].decode(errors="ignore")
    value = text_array(text, room)
    if name in attributes and attributes.get_id(name).dtype == value.dtype:
        attributes.modify(name, value)
    else:
        attributes.create(name, value, dtype=value.dtype)


def create_file(path):
    """Create an HDF5 file all of whose metadata will carry checksums."""
    h5py.File(path, "w", libver=_FIRST_LIBVER).close()
    return h5py.File(path, "r+", libver=LIBVER)


def create_array(group, name, axes, shape, dtype="f8", fillvalue=None):
    """Create a dataset whose values carry checksums, and its dimensions, by their names, where they do not exist.

    Returns
    -------
    h5py.Dataset
        The dimensions time and contact may grow.
    """
    limits = tuple(None if axis in GROWING else length for axis, length in zip(axes, shape, strict=True))
    options = {} if 0 in limits else {"maxshape": limits, "chunks": _chunk(axes, shape, np.dtype(dtype)), **_CHECKSUM}
    dataset = group.create_dataset(name, shape, dtype, fillvalue=fillvalue, **options)
    names = text_array(axes)
    dataset.attrs.create("axes", names, dtype=names.dtype)
    if axes == (name,):
        dataset.make_scale(name)
        return dataset
    for dimension, axis, length in zip(dataset.dims, axes, shape, strict=True):
        dimension.attach_scale(_dimension(group, axis, length))
    return dataset


class Growing:
    """An array of `create_array` that takes further values along its first dimension.

    Its handles stay open: h5py takes longer to look them up than to write a number.
    """

    def __init__(self, dataset):
        self._id, self._dtype = dataset.id, dataset.dtype
        self._count, *shape = dataset.shape
        self._shape, self._origin = tuple(shape), (0,) * len(shape)
        self._memory, self._place = (h5py.h5s.create_simple((1, *shape)) for _ in range(2))
        self._type, self._chunk, self._stream = h5py.h5t.py_create(self._dtype), None, None
        if self._dtype.itemsize * math.prod(shape) >= _CHUNK_BYTES and dataset.chunks[2:] == self._shape[1:]:
            self._chunk = dataset.chunks[1:]

    def append(self, values):
        """Append the values of one more time."""
        values = np.asarray(values, self._dtype).reshape(1, *self._shape)
        extent = self._count + 1, *self._shape
        self._id.set_extent(extent)
        if self._chunk is None:
            self._place.set_extent_simple(extent)
            self._place.select_hyperslab((self._count, *self._origin), values.shape)
            self._id.write(self._memory, self._place, np.ascontiguousarray(values), self._type)
        else:
            self._append_chunks(values[0])
        self._count += 1

    def _append_chunks(self, values):
        """Write a frame as the filter of HDF5 would, in a fraction of its time."""
        from particleflow.stored_blocks import room, stored

        count = self._chunk[0]
        if self._stream is None:
            self._stream = np.empty(room(self._dtype.itemsize * math.prod(self._chunk)), np.uint8)
        for first in range(0, len(values), count):
            rows = values[first : first + count].reshape(-1, math.prod(self._chunk[1:]))
            if len(rows) < count:  # the last chunk is filled up
                rows = np.concatenate([rows, np.zeros((count - len(rows), rows.shape[1]), rows.dtype)])
            if rows[0].nbytes < _LONG_ROW or rows.strides[1] != rows.itemsize:
                rows = np.ascontiguousarray(rows).reshape(1, -1)
            rows = rows.view(np.uint8)
            rows.flags.writeable = False  # as some frames are: one kernel for all
            stored(rows, self._stream)
            self._id.write_direct_chunk((self._count, first, *self._origin[1:]), self._stream)


class Numbers:
    """Numbers among the attributes of a group or dataset that are set often: their handles stay open too."""

    def __init__(self, attributes):
        self._attributes, self._handles = attributes, {}

    def __setitem__(self, name, value):
        """Set a number; its type stays that of the first."""
        if name not in self._handles:
            self._attributes.modify(name, value)
            handle = self._attributes.get_id(name)
            self._handles[name] = handle, handle.dtype, h5py.h5t.py_create(handle.dtype)
        else:
            handle, dtype, kind = self._handles[name]
            handle.write(np.asarray(value, dtype), kind)


def _chunk(axes, shape, dtype):
    """Return the shape of a chunk: of one frame, and of a size that HDF5 keeps in its cache."""
    room, chunk = _CHUNK_BYTES // dtype.itemsize, ()
    for axis, length in reversed(list(zip(axes, shape, strict=True))):
        if axis in GROWING:
            length = 1 if axis == "time" and len(axes) > 1 else _GROWTH
        count = -(-length // max(1, room))
        chunk = (-(-length // count), *chunk)  # equal parts: the last one is padded
        room //= chunk[0]
    return chunk


def _dimension(group, name, length):
    """Return a dimension: the coordinate of that name, or a netCDF dimension without coordinate values."""
    if name in group:
        return group[name]
    if name == "time":
        return group.parent[name]
    growing = {"maxshape": (None,), "chunks": (_GROWTH,)} if name in GROWING else {}
    scale = group.create_dataset(name, shape=(length,), dtype="f4", **growing)  # never filled, so never stored
    scale.make_scale(f"This is a netCDF dimension but not a netCDF variable.{length:10d}")
    return scale
