"""Numbers as strtoull(3) reads them, and blocks as QEMU's memory system cuts them."""

from __future__ import annotations

import ctypes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vgicd.qtest.blocks import from_base64, from_hex, pieces
from vgicd.qtest.text import U64, Refused, shown, signed, unsigned

LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.strtoull.restype = ctypes.c_uint64
LIBC.strtoull.argtypes = [ctypes.c_char_p, ctypes.POINTER(ctypes.c_char_p), ctypes.c_int]


def strtoull(word: bytes) -> int | None:
    """What QEMU's reader makes of `word`: None where it asserts."""
    ctypes.set_errno(0)
    end = ctypes.c_char_p()
    value = LIBC.strtoull(word, ctypes.byref(end), 0)
    return None if not word.strip(b" \t\n\v\f\r") or end.value or ctypes.get_errno() else int(value)


def ours(word: bytes) -> int | None:
    try:
        return unsigned(word, "X")
    except Refused:
        return None


@given(st.text(alphabet="0123456789xXabfF+- \t\r8", max_size=24).map(str.encode))
def test_a_number_is_what_the_c_library_reads(word: bytes) -> None:
    assert ours(word) == strtoull(word)


@given(st.integers(-(1 << 66), 1 << 66), st.sampled_from(["%d", "%#x", "%#o"]))
def test_numbers_are_64_bits_and_negative_ones_wrap(value: int, form: str) -> None:
    word = (form % value).replace("0o", "0").encode()
    assert ours(word) == (value & U64 if -U64 <= value <= U64 else None)


def test_a_long_word_is_refused_as_quickly_as_a_short_one() -> None:
    """Reading decimal digits costs the square of their number, and Python refuses to at 4300."""
    with pytest.raises(Refused, match="at most 64 bits"):
        unsigned(b"9" * 60_000, "X")
    assert unsigned(b"0x" + b"0" * 60_000 + b"8", "X") == 8


def test_signed_numbers_have_a_range() -> None:
    assert signed(b"-0x80000000", "LEVEL", 32) == -(1 << 31)
    with pytest.raises(Refused, match="LEVEL is -2147483648 to 2147483647"):
        signed(b"0x80000000", "LEVEL", 32)


def test_a_wrong_word_is_shown_on_one_line_and_cut() -> None:
    assert shown(b"a\r\xff") == r"'a\r\xff'"
    assert len(shown(b"\n" * 10_000)) < 100


@given(st.integers(0, U64), st.integers(0, 40))
def test_pieces_are_aligned_whole_and_in_order(address: int, size: int) -> None:
    found = list(pieces(address, size))
    assert [place + byte & U64 for place, width in found for byte in range(width)] == [
        address + byte & U64 for byte in range(size)
    ]
    assert all(width in (1, 2, 4) and place % width == 0 for place, width in found)


@pytest.mark.parametrize(
    ("address", "size", "expected"),
    [
        (0x1001, 4, [(0x1001, 1), (0x1002, 2), (0x1004, 1)]),
        (0x1002, 4, [(0x1002, 2), (0x1004, 2)]),
        (0x1003, 4, [(0x1003, 1), (0x1004, 2), (0x1006, 1)]),
        (0x1000, 8, [(0x1000, 4), (0x1004, 4)]),
        (0x1001, 8, [(0x1001, 1), (0x1002, 2), (0x1004, 4), (0x1008, 1)]),
        (U64, 2, [(U64, 1), (0, 1)]),
    ],
)
def test_pieces_are_as_wide_as_qemus(address: int, size: int, expected: list[tuple[int, int]]) -> None:
    """Measured: a 4-byte read at 1 mod 4 comes to the GIC as a byte, a halfword and a byte."""
    assert list(pieces(address, size)) == expected


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        *((b"0x01020304", "01020304"), (b"0x0102", "01020000"), (b"0x0102030405", "01020304"), (b"..1", "00000000")),
        *((b"0xz1", "f1000000"), (b"0x1z", "ff000000"), (b"0xAb", "ab000000")),
    ],
)
def test_hexadecimal_data_are_read_as_qemu_reads_them(word: bytes, expected: str) -> None:
    assert from_hex(word, 4).hex() == expected


def test_base64_data_are_the_first_bytes_of_what_is_encoded() -> None:
    assert from_base64(b"AQ-I*DBA==", 4) == b"\1\2\3\4"
    assert from_base64(b"AQIDBA==", 2) == b"\1\2"
    with pytest.raises(Refused, match="holds 4 bytes, and SIZE is 5"):
        from_base64(b"AQIDBA==", 5)
    with pytest.raises(Refused, match="not base64"):
        from_base64(b"AQIDB", 3)
