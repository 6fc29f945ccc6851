"""Semihosting, call by call, on a piece of memory ("Semihosting for AArch32 and AArch64", release 2.0)."""

from __future__ import annotations

import struct

import pytest

from vgicd_machine.board.semihosting import Semihosting

BASE = 0x4000_0000
FREQUENCY = 62_500_000


class Piece:
    """A page of memory at `BASE`, and nothing beside it."""

    def __init__(self) -> None:
        self.bytes = bytearray(4096)

    def read_memory(self, address: int, size: int) -> bytes | None:
        at = address - BASE
        return bytes(self.bytes[at : at + size]) if at >= 0 and at + size <= len(self.bytes) else None

    def write_memory(self, address: int, data: bytes) -> bool:
        at = address - BASE
        if not (at >= 0 and at + len(data) <= len(self.bytes)):
            return False
        self.bytes[at : at + len(data)] = data
        return True


class Bench:
    def __init__(self) -> None:
        self.memory = Piece()
        self.printed = bytearray()
        self.ended: list[int] = []
        self.ticks = 0
        self.semihosting = Semihosting(
            self.printed.append, lambda: self.ticks, FREQUENCY, lambda: 1_767_225_600, self.ended.append, "program -v"
        )

    def call(self, operation: int, *block: int) -> int:
        """With a parameter block of these words, at the beginning of memory."""
        self.memory.write_memory(BASE, struct.pack(f"<{len(block)}Q", *block))
        return self.semihosting.call(self.memory, operation, BASE)

    def put(self, data: bytes) -> int:
        """Where `data` is from now on."""
        self.memory.write_memory(BASE + 0x100, data)
        return BASE + 0x100

    def open(self, name: bytes, mode: int = 4) -> int:
        return self.call(0x01, self.put(name), mode, len(name))


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_write0_prints_up_to_the_zero_and_writec_one_character(bench: Bench) -> None:
    assert bench.semihosting.call(bench.memory, 0x04, bench.put(b"text\r\n\0more")) == 0
    assert bench.semihosting.call(bench.memory, 0x03, bench.put(b"!?")) == 0
    assert bench.printed == b"text\r\n!"


def test_the_operation_is_w0_whatever_is_above(bench: Bench) -> None:
    bench.semihosting.call(bench.memory, 0xFFFF_FFFF_0000_0003, bench.put(b"x"))
    assert bench.printed == b"x"


def test_console_is_opened_as_tt_written_and_closed(bench: Bench) -> None:
    handle = bench.open(b":tt")
    assert handle > 0
    assert bench.call(0x09, handle) == 1, "a terminal"
    assert bench.call(0x05, handle, bench.put(b"hello"), 5) == 0, "nothing left unwritten"
    assert bench.call(0x06, handle, BASE + 0x100, 7) == 7, "nothing to read"
    assert bench.call(0x02, handle) == 0
    assert bench.printed == b"hello"


def test_other_files_are_not_there(bench: Bench) -> None:
    assert bench.open(b"/etc/passwd", 0) == -1
    assert bench.semihosting.call(bench.memory, 0x13, 0) == 2, "ENOENT"
    assert bench.call(0x05, 77, BASE, 1) == -1
    assert bench.semihosting.call(bench.memory, 0x13, 0) == 9, "EBADF"


def test_features_say_that_the_extended_exit_is_there(bench: Bench) -> None:
    handle = bench.open(b":semihosting-features", 0)
    assert bench.call(0x0C, handle) == 5
    assert bench.call(0x06, handle, BASE + 0x200, 5) == 0
    assert bench.memory.read_memory(BASE + 0x200, 5) == b"SHFB\x03"
    assert bench.call(0x06, handle, BASE + 0x200, 5) == 5, "the end"
    assert bench.call(0x0A, handle, 4) == 0
    assert bench.call(0x06, handle, BASE + 0x200, 5) == 4


@pytest.mark.parametrize("operation", [0x18, 0x20])
@pytest.mark.parametrize(("reason", "subcode", "status"), [(0x20026, 0, 0), (0x20026, 7, 7), (0x20023, 0, 1)])
def test_exit_gives_the_programs_status_or_1(
    bench: Bench, operation: int, reason: int, subcode: int, status: int
) -> None:
    bench.call(operation, reason, subcode)
    assert bench.ended == [status]


def test_clocks_are_the_machines(bench: Bench) -> None:
    bench.ticks = 3 * FREQUENCY + FREQUENCY // 2
    assert bench.semihosting.call(bench.memory, 0x10, 0) == 350, "centiseconds"
    assert bench.semihosting.call(bench.memory, 0x11, 0) == 1_767_225_600
    assert bench.semihosting.call(bench.memory, 0x31, 0) == FREQUENCY
    assert bench.call(0x30, 0) == 0
    assert bench.memory.read_memory(BASE, 8) == struct.pack("<Q", bench.ticks)


def test_command_line_is_told_where_it_fits(bench: Bench) -> None:
    assert bench.call(0x15, BASE + 0x200, 64) == 0
    assert bench.memory.read_memory(BASE + 0x200, 11) == b"program -v\0"
    assert bench.memory.read_memory(BASE + 8, 8) == struct.pack("<Q", 10), "its length"
    assert bench.call(0x15, BASE + 0x200, 10) == -1, "no room for the zero"


def test_heap_is_the_programs_own_choice(bench: Bench) -> None:
    bench.memory.write_memory(BASE + 0x200, b"\xff" * 40)
    assert bench.call(0x16, BASE + 0x200) == 0
    assert bench.memory.read_memory(BASE + 0x200, 40) == bytes(32) + b"\xff" * 8


@pytest.mark.parametrize("operation", [0x01, 0x02, 0x03, 0x04, 0x05, 0x15, 0x16, 0x30])
def test_memory_that_is_not_there_fails_the_call(bench: Bench, operation: int) -> None:
    assert bench.semihosting.call(bench.memory, operation, 0x1000) == -1
    assert not bench.printed


def test_unknown_operations_fail(bench: Bench) -> None:
    assert bench.call(0x99) == -1
    assert bench.semihosting.call(bench.memory, 0x13, 0) == 38, "ENOSYS"
