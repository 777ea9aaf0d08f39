"""Bytes as zlib has them at level 0: in blocks that are not compressed (RFC 1951), with their Adler-32 (RFC 1950).

The checksum is a sum of bytes and a sum of those sums, both mod 65521. Over a short piece neither leaves 32 bits, so
that vector registers take them while the piece is copied.
"""

import numpy as np

from particleflow.jit import jit

_BLOCK, _HEADER = 0xFFFF, 5  # bytes
_PIECE = 4096  # bytes; 255 · 4096²/2 < 2³²
_PRIME = 65521


def room(count):
    """Return how long the stream of so many bytes is."""
    return 2 + _HEADER * -(-count // _BLOCK) + count + 4


@jit
def stored(rows, stream):
    """Set `stream` to what zlib decompresses to these rows (uint8), one after the other, of n > 0 bytes; see `room`.

    Rows may lie apart: they are read where they are.
    """
    total, a, b, at = rows.size, 1, 0, 2
    rest, left = total, 0  # of all, and of the block
    stream[0], stream[1] = 0x78, 0x01
    for row in range(rows.shape[0]):
        first = 0
        while first < rows.shape[1]:
            if left == 0:
                left = min(_BLOCK, rest)
                stream[at] = left == rest
                _put(stream, at + 1, left, left >> 8)
                _put(stream, at + 3, ~left, ~left >> 8)
                at += _HEADER
            count = min(rows.shape[1] - first, left, _PIECE)
            plain, weighted = _copy(rows[row, first : first + count], stream[at : at + count])
            b = (b + count * (a + plain) - weighted) % _PRIME
            a = (a + plain) % _PRIME
            first, at, left, rest = first + count, at + count, left - count, rest - count
    _put(stream, at, b >> 8, b)
    _put(stream, at + 2, a >> 8, a)


@jit
def _copy(piece, out):
    """Copy up to 4096 bytes; return Σ x_i and Σ i·x_i."""
    plain, weighted = np.uint32(0), np.uint32(0)
    for i in range(len(piece)):
        x = np.uint32(piece[i])
        out[i] = piece[i]
        plain = np.uint32(plain + x)
        weighted = np.uint32(weighted + np.uint32(np.uint32(i) * x))
    return np.int64(plain), np.int64(weighted)


@jit
def _put(stream, at, first, second):
    """Set two bytes to the last bits of two numbers."""
    stream[at], stream[at + 1] = first & 0xFF, second & 0xFF
