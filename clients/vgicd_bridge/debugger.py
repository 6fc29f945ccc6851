"""QEMU's gdbstub: sets the program counter of a machine that stands still, and can be the bell of the mailbox."""

from __future__ import annotations

import struct
from collections import deque
from typing import Final

from vgicd_bridge import rsp
from vgicd_bridge.channel import Channel
from vgicd_bridge.errors import BridgeError, EmulatorLost

_PC: Final = 0x20  # in org.gnu.gdb.aarch64.core, after X0..X30 and SP
_INSTRUCTION: Final = 4
_REGISTER: Final = struct.Struct("<Q")


class Debugger:
    """A debugger's connection to a machine with one CPU. Raises `EmulatorLost` when QEMU answers what it must not."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self._decoder = rsp.Decoder()
        self._packets: deque[bytes] = deque()
        self._send(b"qXfer:features:read:target.xml:0,ff")  # registers have numbers for those only who have asked
        if b"<architecture>aarch64<" not in self._packet():
            raise BridgeError("QEMU's CPU is not an AArch64 one: choose another with --cpu")

    @property
    def pc(self) -> int:
        """The program counter."""
        self._send(b"p%x" % _PC)
        answer = self._packet()
        try:
            value: int = _REGISTER.unpack(bytes.fromhex(answer.decode("ascii")))[0]
        except (ValueError, struct.error):
            raise EmulatorLost(f"QEMU's gdbstub does not tell the PC, but {answer!r}") from None
        return value

    @pc.setter
    def pc(self, value: int) -> None:
        self._command(b"P%x=%s" % (_PC, _REGISTER.pack(value).hex().encode()))

    def break_at(self, address: int) -> None:
        """Stop before the instruction at virtual address `address`, whatever CPU state it is executed in."""
        self._command(b"Z0,%x,%x" % (address, _INSTRUCTION))

    def go(self) -> None:
        """Let the machine run; `stopped` tells when it has stopped."""
        self._send(b"vCont;c")

    def detach(self) -> None:
        """Let the machine run, and never stop it again."""
        self._command(b"D")

    def step_past(self, address: int) -> None:
        """Execute the one instruction at `address`, where a breakpoint is, without stopping there."""
        self._command(b"z0,%x,%x" % (address, _INSTRUCTION))
        self._send(b"vCont;s")
        while not self._is_stop(self._packet()):
            pass
        self.break_at(address)

    def stopped(self) -> bool:
        """Whether a stop has been told since the last call. Does not wait."""
        return any(self._is_stop(packet) for packet in self._decode(self.channel.take()))

    def _is_stop(self, packet: bytes) -> bool:
        if packet[:1] in (b"T", b"S"):
            return True
        if packet[:1] in (b"W", b"X"):
            return False  # the guest has ended, as QMP says, too
        raise EmulatorLost(f"QEMU's gdbstub says {packet[:80]!r} of a running machine")

    def _command(self, payload: bytes) -> None:
        self._send(payload)
        self._expect(b"OK", payload.decode("ascii"))

    def _send(self, payload: bytes) -> None:
        self.channel.send(rsp.encode(payload))

    def _expect(self, wanted: bytes, request: str) -> None:
        if (answer := self._packet()) != wanted:
            raise EmulatorLost(f"QEMU's gdbstub refuses {request}: {answer!r}")

    def _packet(self) -> bytes:
        while not self._packets:
            self.channel.wait()
            self._packets += self._decode(self.channel.take())
        return self._packets.popleft()

    def _decode(self, data: bytes) -> list[bytes]:
        try:
            packets = self._decoder.feed(data)
        except rsp.RspError as error:
            raise EmulatorLost(f"QEMU's gdbstub: {error}") from error
        if packets:
            self.channel.send(b"+" * len(packets))  # QEMU 7.2 does not know QStartNoAckMode
        return packets
