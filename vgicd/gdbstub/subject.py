"""What a packet that was refused is about, in words for people: `a write of 4 bytes to GICC_IAR (0x801000c)`."""

from __future__ import annotations

from contextlib import suppress
from typing import Final

from vgicd.gdbstub import memory, registers, replies, running
from vgicd.gdbstub.breakpoints import WRITE
from vgicd.gdbstub.replies import Malformed
from vgicd.gdbstub.target import Refused, Target

_MEMORY: Final = {b"m": "a read of {} at {}", b"x": "a read of {} at {}", b"M": "a write of {} to {}",
                  b"X": "a write of {} to {}"}  # fmt: skip
_REGISTER: Final = {b"p": "a read of ${}", b"P": "a write of ${}"}
_SHOWN: Final = 20


def subject(target: Target, packet: bytes) -> str:
    """What `packet` asks for; of one that is not about a place its beginning."""
    letter, arguments = packet[:1], packet[1:]
    with suppress(Malformed, Refused):
        if letter in _MEMORY:
            address, length = replies.pair(arguments.partition(b":")[0])
            size = "1 byte" if length == 1 else f"{length} bytes"
            return _MEMORY[letter].format(size, memory.place_name(target, address))
        if letter in _REGISTER:
            return _REGISTER[letter].format(registers.name_of(target, replies.number(arguments.partition(b"=")[0])))
        if letter in (b"Z", b"z"):
            kind, address, _ = running.point(arguments)
            what = "a breakpoint at" if kind < WRITE else "a watchpoint on"
            return f"{what} {memory.place_name(target, address)}"
    shown = packet[:_SHOWN].decode("ascii", "replace")
    return f"packet {shown if len(packet) <= _SHOWN else shown + '...'}"
