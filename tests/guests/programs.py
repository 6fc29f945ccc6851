"""Flat programs of a few instructions, for runs in processes of their own."""

from __future__ import annotations

from pathlib import Path

from tests.guests.fakes import words

SYSTEM_OFF = """
    52b08000    mov     w0, #0x84000000
    11002000    add     w0, w0, #8
    d4000002    hvc     #0
"""
SYSTEM_RESET = """
    52b08000    mov     w0, #0x84000000
    11002400    add     w0, w0, #9
    d4000002    hvc     #0
"""
UART = """
    d2a12000    mov     x0, #0x9000000          // UARTDR
"""
SPIN = """
    14000000    b       .
"""
WAIT = """
    d503207f    wfi
    17ffffff    b       .-4
"""
TALK = """
    528005c1    mov     w1, #'.'
    b9000001    str     w1, [x0]
    17ffffff    b       .-4
"""
ECHO_UNTIL_Q = """
    b9401801    ldr     w1, [x0, #0x18]         // UARTFR
    3727ffe1    tbnz    w1, #4, .-4             // RXFE
    b9400001    ldr     w1, [x0]
    b9000001    str     w1, [x0]
    7101c43f    cmp     w1, #'q'
    54ffff61    b.ne    .-20
"""
TICKS = """
    d2a10004    mov     x4, #0x8000000          // GICD
    52800021    mov     w1, #1
    b9000081    str     w1, [x4]
    52a10002    mov     w2, #0x8000000          // PPI 27
    b9010082    str     w2, [x4, #0x100]
    d2a10025    mov     x5, #0x8010000          // GICC
    52801fe3    mov     w3, #0xff
    b90004a3    str     w3, [x5, #4]
    b90000a1    str     w1, [x5]
    d2a00202    mov     x2, #0x100000           // 17 ms
    d51be302    msr     cntv_tval_el0, x2
    d51be321    msr     cntv_ctl_el0, x1
    d503207f    wfi
    17fffffd    b       .-12
"""
"""Waits for its timer again and again; the interrupt wakes it and is not taken."""


def say(text: str) -> str:
    """Instructions that write `text` to the UART whose address is in X0."""
    return "".join(f"{0x52800001 | ord(char) << 5:08x}\nb9000001\n" for char in text)


def program(folder: Path, listing: str, name: str = "program.bin") -> str:
    """The path of a flat binary of `listing`."""
    path = folder / name
    path.write_bytes(words(listing))
    return str(path)
