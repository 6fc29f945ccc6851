"""UNIX seqpacket: the same frames, whole ones only, a batch of them in each message.

A message boundary inside a frame, or a message larger than the receive buffer, is a framing fault: what is missing will
never come.
"""

from __future__ import annotations

import socket

from vgicd.server.connection import AT_ONCE, SocketConnection
from vgicd.server.limits import Limits
from vgicd.server.session import Session
from vgicd_protocol.errors import Status


class PacketConnection(SocketConnection):
    """Frames in the messages of a UNIX seqpacket socket."""

    def __init__(self, sock: socket.socket, session: Session, limits: Limits) -> None:
        super().__init__(sock, session, limits)
        self._receive = self._receive_message

    def _receive_message(self, target: memoryview) -> int:
        received = self._sock.recv_into(target, 0, socket.MSG_TRUNC)  # answers the message's length, even if cut off
        if received > len(target):
            self.session.refuse(
                Status.FRAME_LENGTH, f"A message of {received} bytes exceeds {len(target)}; send fewer frames in one."
            )
            self.flush()
            return 0
        return received

    def _end_turn(self, position: int) -> None:
        super()._end_turn(position)
        if self._have and not self.session.more and not self.session.closing:
            self.session.refuse(Status.FRAME_LENGTH, "A message ends inside a frame.")
            self.flush()

    def _send(self) -> None:
        out = self.session.out
        while out:
            size = _whole_frames(out, AT_ONCE)
            try:
                self._sock.send(memoryview(out)[:size])
            except BlockingIOError:
                return
            del out[:size]


def _whole_frames(out: bytearray, most: int) -> int:
    """The length of the longest run of whole frames at the start of `out` within `most` bytes, at least one frame."""
    if len(out) <= most:
        return len(out)
    end = int.from_bytes(out[:4], "little")
    while True:
        after = end + int.from_bytes(out[end : end + 4], "little")
        if after > most:
            return end
        end = after
