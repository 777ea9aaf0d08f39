"""Streams of stored blocks against zlib, which reads them and checks their checksum."""

import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from particleflow.stored_blocks import room, stored

BLOCK, PIECE = 0xFFFF, 4096


def stream_of(rows):
    stream = np.empty(room(rows.size), np.uint8)
    rows.flags.writeable = False
    stored(rows, stream)
    return stream.tobytes()


def check(rows):
    stream = stream_of(rows)
    assert zlib.decompress(stream) == rows.tobytes()
    assert stream[-4:] == zlib.adler32(rows.tobytes()).to_bytes(4, "big")


@given(
    around=st.sampled_from([1, PIECE, BLOCK - PIECE, BLOCK, BLOCK + PIECE, 2 * BLOCK, 5 * BLOCK]),
    shift=st.integers(-20, 20),
    seed=st.integers(0, 2**32 - 1),
)
def test_zlib_reads_any_length(around, shift, seed):
    check(np.random.default_rng(seed).integers(0, 256, (1, max(1, around + shift)), dtype=np.uint8))


@pytest.mark.parametrize("value", [0, 255])
def test_the_sums_do_not_leave_their_bits(value):
    check(np.full((1, 2**20), value, np.uint8))


@given(
    count=st.integers(1, 300),
    width=st.one_of(st.integers(1, 900), st.integers(PIECE - 3, PIECE + 3), st.just(BLOCK)),
    beside=st.integers(1, 9),
    seed=st.integers(0, 2**32 - 1),
)
def test_rows_may_lie_apart(count, width, beside, seed):
    count = min(count, 1 + 2**20 // width)
    table = np.random.default_rng(seed).integers(0, 256, (count, width + beside), dtype=np.uint8)
    check(table[:, beside:])


@given(data=st.binary(min_size=1, max_size=300))
def test_the_bytes_are_those_of_the_standard(data):
    """One block, written down by hand: RFC 1950 and 1951."""
    length = len(data).to_bytes(2, "little") + (len(data) ^ 0xFFFF).to_bytes(2, "little")
    expected = b"\x78\x01\x01" + length + data + zlib.adler32(data).to_bytes(4, "big")
    assert stream_of(np.frombuffer(data, np.uint8)[None]) == expected
