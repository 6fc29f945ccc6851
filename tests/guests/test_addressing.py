"""The address that a load or store accesses, against what the assembler says of each encoding."""

from __future__ import annotations

import pytest

from vgicd_machine.core.addressing import accessed

PC = 0x4008_0000
REGISTERS = {4: 0x1000, 5: 0xFFFF_FFFF, 6: 3, 31: 0x7000}


@pytest.mark.parametrize(
    ("listing", "address"),
    [
        ("b9400080  ldr   w0, [x4]", 0x1000),
        ("39401480  ldrb  w0, [x4, #5]", 0x1005),
        ("f9400880  ldr   x0, [x4, #16]", 0x1010),
        ("3dc00880  ldr   q0, [x4, #32]", 0x1020),
        ("3d400c80  ldr   b0, [x4, #3]", 0x1003),
        ("f85f7080  ldur  x0, [x4, #-9]", 0xFF7),
        ("f8408480  ldr   x0, [x4], #8", 0x1000),
        ("b81f8c80  str   w0, [x4, #-8]!", 0xFF8),
        ("b8404880  ldtr  w0, [x4, #4]", 0x1004),
        ("b8656880  ldr   w0, [x4, x5]", 0x1_0000_0FFF),
        ("f8657880  ldr   x0, [x4, x5, lsl #3]", 0x8_0000_0FF8),
        ("b865d880  ldr   w0, [x4, w5, sxtw #2]", 0xFFC),
        ("b8654880  ldr   w0, [x4, w5, uxtw]", 0x1_0000_0FFF),
        ("3ca67880  str   q0, [x4, x6, lsl #4]", 0x1030),
        ("b87f6880  ldr   w0, [x4, xzr]", 0x1000),
        ("b94007e0  ldr   w0, [sp, #4]", 0x7004),
        ("a97f0480  ldp   x0, x1, [x4, #-16]", 0xFF0),
        ("29ff0480  ldp   w0, w1, [x4, #-8]!", 0xFF8),
        ("ad010480  stp   q0, q1, [x4, #32]", 0x1020),
        ("6c810480  stp   d0, d1, [x4], #16", 0x1000),
        ("2d010480  stp   s0, s1, [x4, #8]", 0x1008),
        ("69410480  ldpsw x0, x1, [x4, #8]", 0x1008),
        ("a8410480  ldnp  x0, x1, [x4, #16]", 0x1010),
        ("885f7c80  ldxr  w0, [x4]", 0x1000),
        ("c89ffc80  stlr  x0, [x4]", 0x1000),
        ("c87f8480  ldaxp x0, x1, [x4]", 0x1000),
        ("88a07c81  cas   w0, w1, [x4]", 0x1000),
        ("b8200081  ldadd w0, w1, [x4]", 0x1000),
        ("4c407880  ld1   {v0.4s}, [x4]", 0x1000),
        ("0dff2480  ld4   {v0.b-v3.b}[1], [x4], #4", 0x1000),
        ("58000200  ldr   x0, .+64", PC + 64),
        ("98fffe00  ldrsw x0, .-64", PC - 64),
        ("d50b7425  dc    zva, x5", 0xFFFF_FFC0),
        ("d503201f  nop", None),
        ("91000480  add   x0, x4, #1", None),
        ("d65f03c0  ret", None),
    ],
)
def test_address_of(listing: str, address: int | None) -> None:
    word, *_ = listing.split()
    assert accessed(int(word, 16), PC, lambda number: REGISTERS[number]) == address
