"""Freeze: how debuggers keep the guest where it is, by withholding replies.

An emulator waits for the reply to each of its accesses, so that a guest whose replies are withheld stands still.  What
is frozen is a mask: bit v the accesses of vCPU v, `REST` everything else that changes state.  Every holder has a mask
of its own, and the union counts.

A freeze only delays.  Requests that it covers, and what is behind them on their connections, are neither refused nor
forgotten; a reply to what had been applied when the freeze came is withheld; on release all go on where they stopped.
Looking is never frozen, nor is talking about the connection itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

from vgicd.gdbstub.target import EVERYTHING, REST
from vgicd_protocol import vector
from vgicd_protocol.frames import HEAD_CODEC, HEAD_SIZE, HOT_CODEC, HOT_SIZE, Opcode, Plane
from vgicd_protocol.messages import MESSAGES

__all__ = ["EVERYTHING", "REST", "Freeze", "Held", "claim"]

_REST_OPCODES: Final = frozenset(
    opcode
    for opcode, message in MESSAGES.items()
    if message.effects and opcode not in (Opcode.READ, Opcode.WRITE, Opcode.ENTER, Opcode.EXIT)
)
_SWITCHES: Final = (Opcode.ENTER, Opcode.EXIT)
_VCPUS: Final = REST.bit_length() - 1  # that a mask has bits for


class Held(Protocol):
    """A connection that waits for the end of a freeze."""

    held: int  # what of the freeze it waits for; 0 while it goes on

    def thaw(self) -> None:
        """Go on: nothing of what it waited for is frozen any longer."""


class Freeze:
    """What is frozen, by whom, and who waits for its end."""

    def __init__(self, changed: Callable[[], None]) -> None:
        """`changed` is called whenever `mask` is another one."""
        self.mask = 0
        self._changed = changed
        self._masks: dict[object, int] = {}
        self._held: dict[object, Held] = {}  # in the order in which they came
        self._ended = False

    @property
    def holders(self) -> list[object]:
        """Who holds something, in the order in which they began."""
        return list(self._masks)

    def hold(self, holder: object, mask: int) -> None:
        """Freeze what `mask` says instead of what `holder` froze before; 0 releases.

        Those whom nothing holds any longer have sent what was withheld, and will be served, when this returns.
        """
        if mask and not self._ended:
            self._masks[holder] = mask
        else:
            self._masks.pop(holder, None)
        before, self.mask = self.mask, 0
        for held in self._masks.values():
            self.mask |= held
        if self.mask != before:
            self._changed()
        if before & ~self.mask:
            for waiting in [waiting for waiting in self._held.values() if not waiting.held & self.mask]:
                self.leave(waiting)
                waiting.thaw()

    def end(self) -> None:
        """Release everything, and freeze nothing from now on: the daemon stops."""
        self._ended = True
        for holder in self.holders:
            self.hold(holder, 0)

    def enter(self, waiting: Held) -> None:
        """`waiting.thaw` will be called when nothing of `waiting.held` is frozen any longer."""
        self._held[waiting] = waiting

    def leave(self, waiting: object) -> None:
        """Forget `waiting`, if it waits."""
        self._held.pop(waiting, None)


def claim(buffer: bytearray, position: int, end: int) -> int:
    """The mask of what must not be frozen for the frame at `position` to be served; 0 if it is always served.

    That is 0, too, for what is no whole frame (`end` is behind the last byte) and for what must be refused.
    """
    have = end - position
    if have < HEAD_SIZE:
        return 0
    length, _, opcode, _, _ = HEAD_CODEC.unpack_from(buffer, position)
    if have < length:
        return 0
    if opcode in (Opcode.READ, Opcode.WRITE):
        if length < HOT_SIZE:
            return 0
        vcpu, _, space = HOT_CODEC.unpack_from(buffer, position)[5:8]
        return _access(opcode == Opcode.WRITE, vcpu, space)
    if opcode in _REST_OPCODES:
        return REST
    body = memoryview(buffer)[position + HEAD_SIZE : position + length]
    if opcode in _SWITCHES:
        return _vcpu(int.from_bytes(body[:2], "little"))
    return _entries(body) if opcode == Opcode.VECTOR else 0


def _access(write: bool, vcpu: int, space: int) -> int:
    plane = space >> 4
    if plane == Plane.GUEST:
        return _vcpu(vcpu)
    return REST if write and plane == Plane.RESTORE else 0


def _vcpu(number: int) -> int:
    return 1 << number if number < _VCPUS else 0


def _entries(body: memoryview) -> int:
    entries = body[vector.ENTRIES_OFFSET - HEAD_SIZE :]
    if len(entries) % vector.ENTRY_CODEC.size:
        return 0
    mask = 0
    for _, _, vcpu, operation, space in vector.ENTRY_CODEC.iter_unpack(entries):
        kind = operation & 0xF
        mask |= REST if kind == vector.LINE else _access(kind == vector.WRITE, vcpu, space)
    return mask
