"""What an instruction does that has trapped: from the syndrome, and from the words that an assembler made."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vgicd_bridge.instruction import Access, during_walk, from_syndrome, from_word

WORDS = {
    "ldr w1, [x2]": (0xB9400041, Access(False, 4, (1,))),
    "str w1, [x2, #4]": (0xB9000441, Access(True, 4, (1,))),
    "ldrb w3, [x4], #1": (0x38401483, Access(False, 1, (3,), base=4, step=1)),
    "strh w3, [sp, #-2]!": (0x781FEFE3, Access(True, 2, (3,), base=31, step=-2)),
    "ldursb x5, [x6, #-3]": (0x389FD0C5, Access(False, 1, (5,), True)),
    "ldrsb w5, [x6], #-1": (0x38DFF4C5, Access(False, 1, (5,), True, 32, 6, -1)),
    "ldrsw x7, [x8, #4]!": (0xB8804D07, Access(False, 4, (7,), True, 64, 8, 4)),
    "ldrsh w7, [x8, x9]": (0x78E96907, Access(False, 2, (7,), True, 32)),
    "ldr x10, [x11], #8": (0xF840856A, Access(False, 8, (10,), base=11, step=8)),
    "str xzr, [x12, #-256]!": (0xF8100D9F, Access(True, 8, (31,), base=12, step=-256)),
    "sttr w1, [x2, #8]": (0xB8008841, Access(True, 4, (1,))),
    "ldp w1, w2, [x3]": (0x29400861, Access(False, 4, (1, 2))),
    "stp x4, x5, [sp, #-16]!": (0xA9BF17E4, Access(True, 8, (4, 5), base=31, step=-16)),
    "ldp x6, x7, [x8], #504": (0xA8DF9D06, Access(False, 8, (6, 7), base=8, step=504)),
    "ldpsw x9, x10, [x11, #-8]": (0x697F2969, Access(False, 4, (9, 10), True)),
    "stnp w12, w13, [x14, #8]": (0x280135CC, Access(True, 4, (12, 13))),
}
REFUSED = {
    "ldxr w1, [x2]": 0x885F7C41,
    "stlr w1, [x2]": 0x889FFC41,
    "ldadd w1, w2, [x3]": 0xB8210062,
    "ldr q0, [x1], #16": 0x3CC10420,
    "ldr s0, [x1]": 0xBD400020,
    "prfm pldl1keep, [x1]": 0xF9800020,
    "dc zva, x0": 0xD50B7420,
    "ldp q0, q1, [x2]": 0xAD400440,
    "add x0, x1, x2": 0x8B020020,
    "what could not be read": 0,
}
ISV = 1 << 24


@pytest.mark.parametrize("text", WORDS)
def test_a_word_is_what_the_assembler_made_it_of(text: str) -> None:
    word, access = WORDS[text]
    assert from_word(word) == access


@pytest.mark.parametrize("text", REFUSED)
def test_what_is_no_load_or_store_of_general_registers_is_refused(text: str) -> None:
    assert from_word(REFUSED[text]) is None


@given(st.integers(0, 0xFFFF_FFFF))
def test_no_word_is_beyond_the_decoder(word: int) -> None:
    access = from_word(word)
    assert access is None or (access.size in (1, 2, 4, 8) and len(access.registers) in (1, 2))


@pytest.mark.parametrize(
    ("fields", "access"),
    [
        (2 << 22 | 1 << 16, Access(False, 4, (1,), width=32)),
        (0 << 22 | 31 << 16 | 1 << 6, Access(True, 1, (31,), width=32)),
        (1 << 22 | 1 << 21 | 5 << 16 | 1 << 15, Access(False, 2, (5,), True, 64)),
        (3 << 22 | 7 << 16 | 1 << 15, Access(False, 8, (7,), width=64)),
    ],
)
def test_a_valid_syndrome_tells_the_access(fields: int, access: Access) -> None:
    """DDI 0487 D17.2.37: SAS, SSE, SRT, SF, WnR."""
    assert from_syndrome(ISV | fields) == access
    assert from_syndrome(fields) is None, "ISV 0: the fields mean nothing"


def test_a_signed_load_extends_to_its_width() -> None:
    assert Access(False, 1, (0,), True, 32).loaded(0x80) == 0xFFFFFF80
    assert Access(False, 1, (0,), True, 64).loaded(0x80) == 0xFFFFFFFF_FFFFFF80
    assert Access(False, 2, (0,), True, 64).loaded(0x7FFF) == 0x7FFF
    assert Access(False, 4, (0,)).loaded(0xFFFF_FFFF) == 0xFFFF_FFFF


def test_a_table_walk_is_told_apart() -> None:
    assert during_walk(ISV | 1 << 7)
    assert not during_walk(ISV | 1 << 6)
