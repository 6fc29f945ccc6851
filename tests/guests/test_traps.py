"""A core stops where a debugger wants it, before the instruction or the access, and goes on as if it had not."""

from __future__ import annotations

from typing import Any

import pytest

from tests.guests.fakes import words
from vgicd_machine.board.memory import BASE, Memory
from vgicd_machine.core.engine import GENERAL, PC, Engine
from vgicd_machine.core.traps import BREAK, STEP, Trap, Watch, is_exclusive

DATA = BASE + 0x800


class Nobody:
    """A listener that hears nothing worth a word."""

    def __getattr__(self, _name: str) -> Any:
        return lambda *_, **__: 0


@pytest.fixture
def memory() -> Memory:
    return Memory(0x10000)


def core(memory: Memory, listing: str) -> Engine:
    """About to execute `listing`, with DATA in X20."""
    engine = Engine(Nobody(), maintenance=False)
    engine.map_memory(memory.base, memory.size, memory.host_address, writable=True)
    memory.write(BASE, words(listing))
    engine.write(GENERAL[20], DATA)
    engine.write(PC, BASE)
    return engine


LOOP = """
    91000400    add     x0, x0, #1
    91000421    add     x1, x1, #1
    17fffffe    b       .-8
"""
ONE_MORE = """
    91000400    add     x0, x0, #1
"""


def test_a_breakpoint_stops_before_its_instruction_and_keeps_the_rest_of_the_slice(memory: Memory) -> None:
    engine = core(memory, LOOP)
    engine.set_traps([BASE + 4], [], tidy=True)
    assert engine.run(100) == 1
    assert (engine.trap, engine.left, engine.read(PC)) == (BREAK, 99, BASE + 4)
    assert engine.run(99) == 0  # it is still there
    assert engine.run(99, step=True) == 0
    engine.set_traps([], [], tidy=False)  # as gdb does it: step over it, with the hook left in place
    assert (engine.run(99, step=True), engine.trap, engine.left) == (1, STEP, 98)
    assert engine.run(98) == 98
    assert (engine.trap, engine.left) == (None, 0)
    assert (engine.read(GENERAL[0]), engine.read(GENERAL[1])) == (34, 33)


def test_code_that_was_executed_before_is_stopped_in_too(memory: Memory) -> None:
    engine = core(memory, LOOP)
    engine.run(300)
    engine.set_traps([BASE + 8], [], tidy=True)
    assert (engine.run(300), engine.trap) == (2, BREAK)
    engine.set_traps([], [], tidy=True)
    assert (engine.run(300), engine.trap) == (300, None)


@pytest.mark.parametrize(
    ("access", "write"),
    [
        ("f8008680    str     x0, [x20], #8", True),
        ("a8817e80    stp     x0, xzr, [x20], #16", True),
        ("f9400294    ldr     x20, [x20]", False),
        ("39400280    ldrb    w0, [x20]", False),
        ("3d800280    str     q0, [x20]", True),
    ],
)
def test_an_access_that_is_watched_has_not_happened_to_the_registers(memory: Memory, access: str, write: bool) -> None:
    engine = core(memory, ONE_MORE + access)
    watch = Watch(DATA, 1, reads=not write, writes=write)
    engine.set_traps([], [watch], tidy=True)
    before = [0] * 31
    before[0], before[20] = 1, DATA
    assert engine.run(100) == 1
    assert (engine.trap, engine.left, engine.read(PC)) == (Trap(watch), 99, BASE + 4)
    assert [engine.read(register) for register in GENERAL] == before
    engine.set_traps([], [], tidy=False)
    assert engine.run(99, step=True) == 1
    assert (engine.trap, engine.read(PC)) == (STEP, BASE + 8)


def test_an_exclusive_store_that_is_watched_succeeds_once(memory: Memory) -> None:
    exclusive = """
        c85f7e80    ldxr    x0, [x20]
        91000400    add     x0, x0, #1
        c8017e80    stxr    w1, x0, [x20]
        35ffffa1    cbnz    w1, .-12
        14000000    b       .
    """
    engine = core(memory, exclusive)
    watch = Watch(DATA, 8, reads=False, writes=True)
    engine.set_traps([], [watch], tidy=True)
    assert engine.run(100) == 3
    assert (engine.trap, engine.left, engine.read(PC)) == (Trap(watch), 97, BASE + 12)
    assert engine.run(97) == 97
    assert (engine.trap, int.from_bytes(memory.read(DATA, 8), "little")) == (None, 1)


def test_an_access_beside_what_is_watched_does_not_stop(memory: Memory) -> None:
    store = """
        f9000280    str     x0, [x20]
        14000000    b       .
    """
    engine = core(memory, store)
    engine.set_traps([], [Watch(DATA + 8, 4, reads=True, writes=True), Watch(DATA, 8, True, False)], tidy=True)
    assert (engine.run(10), engine.trap) == (10, None)


def test_exclusives_are_told_from_other_accesses() -> None:
    exclusives = (0xC85F7E80, 0xC8017E80, 0x885FFE80, 0xC87F0680, 0x08017E80)  # ldxr, stxr, ldaxr, ldxp, stxrb
    others = (0xC8DFFE80, 0xC89FFE80, 0xF9400280, 0xA9400680)  # ldar, stlr, ldr, ldp
    assert [is_exclusive(word) for word in (*exclusives, *others)] == [True] * 5 + [False] * 4
