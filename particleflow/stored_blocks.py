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
def stored(data, stream):
    """Set `stream` to what zlib decompresses to `data`; both are contiguous arrays of uint8, of `room(n)` and n > 0."""
    total, a, b, at = len(data), 1, 0, 2
    stream[0], stream[1] = 0x78, 0x01
    for start in range(0, total, _BLOCK):
        end = min(start + _BLOCK, total)
        stream[at] = end == total
        length = end - start
        _put(stream, at + 1, length, length >> 8)
        _put(stream, at + 3, ~length, ~length >> 8)
        at += _HEADER
        for first in range(start, end, _PIECE):
            count = min(_PIECE, end - first)
            plain, weighted = _copy(data[first : first + count], stream[at : at + count])
            b = (b + count * (a + plain) - weighted) % _PRIME
            a = (a + plain) % _PRIME
            at += count
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
