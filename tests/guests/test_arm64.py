"""What the machine reads out of instruction words."""

from __future__ import annotations

import pytest

from vgicd_machine.core import arm64

SIMPLE = """
    b9400020    ldr     w0, [x1]
    b9400420    ldr     w0, [x1, #4]
    b85fd020    ldur    w0, [x1, #-3]
    b8403820    ldtr    w0, [x1, #3]
    b8626820    ldr     w0, [x1, x2]
    b9800020    ldrsw   x0, [x1]
    39800020    ldrsb   x0, [x1]
    39400020    ldrb    w0, [x1]
    79000441    strh    w1, [x2, #2]
"""
NOT_SIMPLE = """
    b8404420    ldr     w0, [x1], #4
    b8404c20    ldr     w0, [x1, #4]!
    f9400020    ldr     x0, [x1]
    f9000020    str     x0, [x1]
    29400440    ldp     w0, w1, [x2]
    885f7c20    ldxr    w0, [x1]
    88dffc20    ldar    w0, [x1]
    3dc00020    ldr     q0, [x1]
    bd400020    ldr     s0, [x1]
    18000000    ldr     w0, .
    f9800020    prfm    pldl1keep, [x1]
    8b020020    add     x0, x1, x2
"""


def instructions(listing: str) -> list[tuple[int, str]]:
    lines = [line.split(maxsplit=1) for line in listing.splitlines() if line.strip()]
    return [(int(word, 16), text) for word, text in lines]


@pytest.mark.parametrize(("listing", "simple"), [(SIMPLE, True), (NOT_SIMPLE, False)])
def test_only_single_word_accesses_without_write_back_are_simple(listing: str, simple: bool) -> None:
    wrong = [text for word, text in instructions(listing) if arm64.is_simple_access(word) is not simple]
    assert not wrong
