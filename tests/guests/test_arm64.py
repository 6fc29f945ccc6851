"""What the machine reads out of instruction words and PSTATE."""

from __future__ import annotations

import pytest

from tests.guests.fakes import words
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
ENDS_BLOCK = """
    14000000    b       .
    94000000    bl      .
    54000000    b.eq    .
    b4000000    cbz     x0, .
    35000000    cbnz    w0, .
    36180000    tbz     x0, #3, .
    b7400000    tbnz    x0, #40, .
    d61f0000    br      x0
    d63f0000    blr     x0
    d65f03c0    ret
    d69f03e0    eret
    d4000001    svc     #0
    d4000002    hvc     #0
    d50342ff    msr     daifclr, #2
    d51b4220    msr     daif, x0
    d5033fdf    isb
"""
WITHIN_BLOCK = """
    8b020020    add     x0, x1, x2
    10000000    adr     x0, .
    d2800020    mov     x0, #1
    fa410000    ccmp    x0, x1, #0, eq
    9a820020    csel    x0, x1, x2, eq
    9b227c20    smull   x0, w1, w2
    b9400020    ldr     w0, [x1]
    a8c17bfd    ldp     x29, x30, [sp], #16
"""


def instructions(listing: str) -> list[tuple[int, str]]:
    lines = [line.split(maxsplit=1) for line in listing.splitlines() if line.strip()]
    return [(int(word, 16), text) for word, text in lines]


@pytest.mark.parametrize(("listing", "simple"), [(SIMPLE, True), (NOT_SIMPLE, False)])
def test_only_single_word_accesses_without_write_back_are_simple(listing: str, simple: bool) -> None:
    wrong = [text for word, text in instructions(listing) if arm64.is_simple_access(word) is not simple]
    assert not wrong


@pytest.mark.parametrize(("listing", "ends"), [(ENDS_BLOCK, True), (WITHIN_BLOCK, False)])
def test_blocks_end_where_pc_or_mask_may_change(listing: str, ends: bool) -> None:
    wrong = [text for word, text in instructions(listing) if arm64.ends_block(word) is not ends]
    assert not wrong


def test_branch_targets() -> None:
    listing = """
    14000002    b       .+8
    17ffffff    b       .-4
    54000061    b.ne    .+12
    35ffff83    cbnz    w3, .-16
    b40000a3    cbz     x3, .+20
    362800c0    tbz     w0, #5, .+24
    b72fff20    tbnz    x0, #37, .-28
    """
    targets = [arm64.branch_target(0x1000, word) for word, _ in instructions(listing)]
    assert targets == [0x1008, 0xFFC, 0x100C, 0xFF0, 0x1014, 0x1018, 0xFE4]
    assert arm64.branch_target(0, instructions("94000002    bl      .+8")[0][0]) is None


SPIN_FAR = """
    f9400020    ldr     x0, [x1]
    b4000080    cbz     x0, .+16
    d65f03c0    ret
    d503201f    nop
    d503201f    nop
    d503205f    wfe
    17fffffa    b       .-24
"""
COPY = """
    f8408420    ldr     x0, [x1], #8
    f8008440    str     x0, [x2], #8
    f1000463    subs    x3, x3, #1
    54ffffa1    b.ne    .-12
    d65f03c0    ret
    d503205f    wfe
"""


@pytest.mark.parametrize(("listing", "waits"), [(SPIN_FAR, True), (COPY, False)])
@pytest.mark.parametrize("start", [0, 4])
def test_loop_around_wfe_is_recognised_from_within(listing: str, waits: bool, start: int) -> None:
    code = words(listing)

    def fetch(address: int) -> int | None:
        return int.from_bytes(code[address : address + 4], "little") if 0 <= address < len(code) else None

    assert arm64.waits_for_event(fetch, start) is waits


@pytest.mark.parametrize(
    ("pstate", "group"), [(0x3C5, 0x200), (0x3C4, 0x000), (0x000, 0x400), (0x010, 0x600), (0x6000_0345, 0x200)]
)
def test_vector_depends_on_where_the_exception_comes_from(pstate: int, group: int) -> None:
    assert arm64.vector_group(pstate) == group
