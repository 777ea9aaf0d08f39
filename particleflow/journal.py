"""A file that goes from one consistent state to the next, whatever kills the process in between.

HDF5 writes the metadata of a file piece by piece: a process that is killed meanwhile leaves a file that no longer
opens, and one whose disk is full cannot close it. Here HDF5 writes into a `JournaledFile`. What lies beyond the end
of the last state goes to disk at once, since nothing refers to it yet. Changes of what was there wait for `commit`:
they are written to a journal beside the file first, then to the file, then the journal goes. Whoever opens the file
next finishes what a complete journal holds (`recover`); an incomplete one was never begun to be carried out. This is
the redo log of databases (Gray & Reuter 1993, §9).
"""

import os
import struct
import time
import zlib
from contextlib import contextmanager, suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # no such locks here
    fcntl = None

_MAGIC = b"particleflow journal 1\n"
_HEADER = struct.Struct("<qqI")  # length of the file afterwards, length of the entries, their checksum
_ENTRY = struct.Struct("<qq")  # offset, length


class JournaledFile:
    """An existing file for ``h5py.File(fileobj, "r+")``, held with an exclusive lock.

    Parameters
    ----------
    path : str or Path
        The file.

    Raises
    ------
    OSError
        If the file cannot be opened for writing, or another process holds it.
    """

    def __init__(self, path):
        self.path = Path(path)
        recover(self.path)
        self._file = self.path.open("r+b", buffering=0)
        if not _lock(self._file):
            self._file.close()
            raise BlockingIOError(f"{str(path)!r} is in use by another process")
        self._position = 0
        self._end = self._size = os.fstat(self._file.fileno()).st_size
        self._changes = {}  # (offset, length) -> bytes, in the order in which they were made
        self._abandoned, self._error = False, None

    def commit(self):
        """Make everything written since the last commit part of the file; nothing, once it was abandoned.

        Raises
        ------
        OSError
            If it could not be written; the file stays as it was, and is abandoned.
        """
        if self._error is not None:
            error, self._error = self._error, None
            raise error
        if self._abandoned:
            return
        if self._changes or self._size < self._end:
            entries = b"".join(part for place, data in self._changes.items() for part in (_ENTRY.pack(*place), data))
            journal = _journal_of(self.path)
            header = _HEADER.pack(self._size, len(entries), zlib.crc32(entries))
            try:
                journal.write_bytes(_MAGIC + header + entries)
            except OSError:
                journal.unlink(missing_ok=True)
                raise
            _apply(self._file, entries, self._size)
            self._stamp()
            journal.unlink()
        self._changes, self._end = {}, self._size

    def _stamp(self):
        """Set the time of the last change exactly: the system's clock may not tell two commits apart, readers must."""
        now = time.time_ns()
        with suppress(OSError):
            os.utime(self.path, ns=(now, now))

    def abandon(self):
        """Go back to the last commit; whatever is written from now on is lost."""
        self._abandoned = True

    def close(self):
        """Give the file back; what was not committed is lost."""
        with suppress(OSError):
            self._file.truncate(self._end)
        self._file.close()

    # --- what h5py calls ----------------------------------------------------------------------------------------------

    def seek(self, offset, whence=os.SEEK_SET):
        """Set the position, counted from the start, the position or the end."""
        self._position = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        return self._position

    def tell(self):
        """Return the position."""
        return self._position

    def read(self, count):
        """Return so many bytes from the position on, fewer at the end."""
        data = bytearray(count)
        return bytes(data[: self.readinto(data)])

    def readinto(self, buffer):
        """Fill the buffer from the position on, with what was written last."""
        view = memoryview(buffer).cast("B")
        start, count = self._position, max(0, min(len(view), self._size - self._position))
        view[:count] = bytes(count)
        self._file.seek(start)
        self._file.readinto(view[:count])
        for (at, _), data in self._changes.items():
            low, high = max(start, at), min(start + count, at + len(data))
            if low < high:
                view[low - start : high - start] = data[low - at : high - at]
        self._position += count
        return count

    def write(self, data):
        """Write at the position: at once beyond the end of the last commit, otherwise with the next."""
        data, at = memoryview(data).cast("B"), self._position
        self._position += len(data)
        self._size = max(self._size, self._position)
        inside = len(data) if self._abandoned else max(0, min(len(data), self._end - at))
        if inside:
            self._change(at, bytes(data[:inside]))
        if inside < len(data):
            self._append(at + inside, data[inside:])
        return len(data)

    def _change(self, at, data):
        place = at, len(data)
        self._changes.pop(place, None)  # to be the last
        self._changes[place] = data

    def _append(self, at, data):
        try:
            self._file.seek(at)
            written = 0
            while written < len(data):  # a raw file may take less than it is given
                written += self._file.write(data[written:])
        except OSError as error:  # for `commit` to raise: HDF5 would crash
            self._error = error
            self._change(at, bytes(data))
            self.abandon()

    def truncate(self, size=None):
        """Set the length; what was committed is cut off with the next commit."""
        self._size = self._position if size is None else size
        if self._size > self._end and not self._abandoned:
            try:
                self._file.truncate(self._size)
            except OSError as error:
                self._error = error
                self.abandon()
        return self._size

    def flush(self):
        """Do nothing: nothing is buffered but the changes that wait for a commit."""


def recover(path):
    """Finish what a killed process had begun to commit; nothing is done while the file is in use.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    journal = _journal_of(path)
    if not journal.exists():
        return
    with Path(path).open("r+b", buffering=0) as file:
        if not _lock(file):
            return
        with suppress(FileNotFoundError):  # another process may have been faster
            content = journal.read_bytes()
            start = len(_MAGIC) + _HEADER.size
            if content.startswith(_MAGIC) and len(content) >= start:
                size, length, checksum = _HEADER.unpack(content[len(_MAGIC) : start])
                entries = content[start:]
                if len(entries) == length and zlib.crc32(entries) == checksum:
                    _apply(file, entries, size)
            journal.unlink()


def in_use(path):
    """Return whether a process holds the file, as a `JournaledFile` or with a lock of HDF5."""
    try:
        with Path(path).open("rb") as file:
            return not _lock(file, shared=True)
    except OSError:
        return False


def is_journaled(path):
    """Return whether a commit is under way, or was when a process died."""
    return _journal_of(path).exists()


def forget(path):
    """Remove the journal of a file that is about to be replaced."""
    _journal_of(path).unlink(missing_ok=True)


def _apply(file, entries, size):
    """Write the entries of a journal to their places, and cut the file to its length."""
    position = 0
    while position < len(entries):
        at, length = _ENTRY.unpack_from(entries, position)
        position += _ENTRY.size
        file.seek(at)
        file.write(entries[position : position + length])
        position += length
    file.truncate(size)


@contextmanager
def held(folder):
    """Hold a folder while the context lasts; it yields whether no other process does."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:  # a system that opens no folders
        yield True
        return
    try:
        yield _lock(handle)
    finally:
        os.close(handle)


def _lock(file, *, shared=False):
    """Return whether the file could be locked, for this process alone or beside readers, until it is closed."""
    if fcntl is None:
        return True
    try:
        fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return True
    return True


def _journal_of(path):
    path = Path(path)
    return path.with_name(path.name + ".journal")
