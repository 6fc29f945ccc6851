"""The client's end of the protocol without a socket: requests to bytes, bytes to replies and events.

Nothing here waits or reads a clock, so the blocking and the trio client share it and tests need no connection.
"""

from __future__ import annotations

import struct
from collections import deque
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from vgicd_client.errors import ProtocolError, Refused
from vgicd_client.replies import Reply
from vgicd_client.requests import Request
from vgicd_protocol import messages
from vgicd_protocol.errors import Status, WireError, sentence
from vgicd_protocol.events import ANY_VCPU, GAP, Event, unpack_events
from vgicd_protocol.frames import (
    EFFECTS,
    FRAME_LIMIT,
    HEAD_CODEC,
    HEAD_SIZE,
    HOT_CODEC,
    HOT_SIZE,
    MORE,
    REPLY_BIT,
    REPLY_HEAD_CODEC,
    REPLY_HEAD_SIZE,
    REPLY_MORE,
    UPLOAD_LIMIT,
    VERSION,
    Opcode,
    hot_fault,
)

T = TypeVar("T")

HOT: Final = frozenset({Opcode.READ, Opcode.WRITE, Opcode.LINE})
EVENTS_KEPT: Final = 65_536
"""Events that wait for the program; beyond them the newest are lost and counted in a GAP, as the daemon does."""
_EVENT_RECORDS: Final = 8  # in an EVENT frame's body, behind the count
_EVENT_FRAME: Final = Opcode.EVENT | REPLY_BIT
_ERROR_FRAME: Final = Opcode.ERROR | REPLY_BIT
_BYE_FRAME: Final = Opcode.BYE | REPLY_BIT
_ASSEMBLY_LIMIT: Final = 4 * UPLOAD_LIMIT


@dataclass(frozen=True, slots=True)
class Arrival:
    """A whole reply, its frames joined; `body` is what follows the 24-byte heads."""

    opcode: int
    status: int
    request_id: int
    outputs: int
    order: int
    body: bytes


def encode(
    request: Request[Any], request_id: int, *, effects: bool = False, limit: int = FRAME_LIMIT
) -> list[bytes]:
    """The frames of `request`, nearly always one; raises `Refused` when a field breaks a rule: nothing was sent.

    `limit` is the server's frame limit; only what may be split is split.
    """
    opcode, flags = request.opcode, EFFECTS if effects else 0
    if effects and not messages.message_of(opcode).effects:
        raise Refused(Status.RESERVED_BITS, "status", f"{opcode.name} has no effects to report")
    if opcode in HOT:
        return [_encode_hot(request, request_id, flags)]
    try:
        body = messages.build_request(opcode, request.fields)
    except WireError as error:
        raise Refused(error.code, error.field, error.text) from None
    room = limit - HEAD_SIZE
    if len(body) <= room:
        return [HEAD_CODEC.pack(HEAD_SIZE + len(body), VERSION, opcode, flags, request_id) + body]
    if not messages.message_of(opcode).upload:
        raise Refused(Status.TOO_MANY, "length", f"{opcode.name} of {len(body)} bytes does not fit a frame")
    parts = [body[start : start + room] for start in range(0, len(body), room)]
    frames = []
    for number, part in enumerate(parts, 1):
        more = MORE if number < len(parts) else 0
        frames.append(HEAD_CODEC.pack(HEAD_SIZE + len(part), VERSION, opcode, flags | more, request_id) + part)
    return frames


def _encode_hot(request: Request[Any], request_id: int, flags: int) -> bytes:
    fields, opcode = request.fields, request.opcode
    size, space, value = fields.get("size", 0), fields["space"], fields.get("value", 0)
    try:
        frame = HOT_CODEC.pack(
            HOT_SIZE, VERSION, opcode, flags, request_id, fields["vcpu"], size, space, fields["address"], value
        )
    except struct.error as error:
        raise Refused(Status.BAD_VALUE, "", f"a field does not fit its width: {error}") from None
    if fault := hot_fault(VERSION, opcode, flags, size, space, value):
        raise Refused(fault, "", sentence(fault))
    return frame


def decode(request: Request[T], arrival: Arrival, *, effects: bool = False) -> Reply[T]:
    """The reply to `request`. Raises `Refused` for an error status, `ProtocolError` for what does not parse."""
    status, opcode = arrival.status, request.opcode
    if arrival.opcode != opcode | REPLY_BIT:
        raise ProtocolError(f"{opcode.name} was answered by opcode {arrival.opcode:#04x}")
    try:
        if status > Status.ABORT:
            if opcode in HOT:
                raise Refused(status, "", sentence(status))
            raise Refused(status, *messages.parse_error(arrival.body))
        fields = messages.parse_reply(opcode, arrival.body, effects)
    except WireError as error:
        raise ProtocolError(f"the reply to {opcode.name} does not parse: {error}") from error
    happened = fields.pop("effects") if effects else ()
    return Reply(request.answer(fields), status == Status.ABORT, arrival.order, arrival.outputs, happened)


class Inbox:
    """Bytes in, whole replies out; events are kept aside.

    After a `ProtocolError` the stream can no longer be trusted: the connection must be closed.  `limit` is the
    server's frame limit, `departed` is set once the server has said that it stops.
    """

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._parts: list[bytes] = []
        self._size = 0
        self.arrivals: deque[Arrival] = deque()
        self.events: deque[Event] = deque()
        self._lost = 0
        self.limit = FRAME_LIMIT
        self.departed = False

    @property
    def idle(self) -> bool:
        """Nothing is half received and nothing waits to be taken, events aside."""
        return not self._bytes and not self.arrivals and not self._parts

    @property
    def has_events(self) -> bool:
        """Whether `next_event` has one."""
        return bool(self.events or self._lost)

    def feed(self, data: bytes | bytearray | memoryview) -> None:
        """Take received bytes; whole replies are appended to `arrivals`, events to `events`."""
        buffer = self._bytes
        buffer += data
        start = 0
        while len(buffer) - start >= HEAD_SIZE:
            length, version, opcode, status, request_id = HEAD_CODEC.unpack_from(buffer, start)
            if not REPLY_HEAD_SIZE <= length <= self.limit:
                raise ProtocolError(f"a frame of {length} bytes: the peer does not speak this protocol")
            if version != VERSION:
                raise ProtocolError(f"a frame of version {version}; this client speaks {VERSION}")
            if len(buffer) - start < length:
                break
            self._frame(bytes(buffer[start : start + length]), opcode, status, request_id)
            start += length
        del buffer[:start]

    def take_events(self) -> list[Event]:
        """The events kept so far; with a GAP at the end if some were lost."""
        taken = list(self.events)
        self.events.clear()
        if self._lost:
            taken.append(Event(taken[-1].order if taken else 0, GAP, ANY_VCPU, 0, 0, self._lost))
            self._lost = 0
        return taken

    def next_event(self) -> Event | None:
        """The oldest event kept, or None."""
        if self.events:
            return self.events.popleft()
        if self._lost:
            lost, self._lost = self._lost, 0
            return Event(0, GAP, ANY_VCPU, 0, 0, lost)
        return None

    def _frame(self, frame: bytes, opcode: int, status: int, request_id: int) -> None:
        if opcode == _EVENT_FRAME:
            self._keep(unpack_events(frame[REPLY_HEAD_SIZE + _EVENT_RECORDS :]))
            return
        *_, outputs, flags, order = REPLY_HEAD_CODEC.unpack_from(frame)
        body = frame[REPLY_HEAD_SIZE:]
        if opcode == _ERROR_FRAME:
            raise _framing_fault(status, body)
        if flags & ~REPLY_MORE:
            raise ProtocolError(f"a reply with the unknown flags {flags:#06x}")
        if opcode == _BYE_FRAME and not request_id:
            self.departed = True
            return
        self._parts.append(body)
        self._size += len(body)
        if self._size > _ASSEMBLY_LIMIT:
            raise ProtocolError(f"a reply of more than {_ASSEMBLY_LIMIT} bytes")
        if flags & REPLY_MORE:
            return
        self.arrivals.append(Arrival(opcode, status, request_id, outputs, order, b"".join(self._parts)))
        self._parts.clear()
        self._size = 0

    def _keep(self, events: list[Event]) -> None:
        room = EVENTS_KEPT - len(self.events) if not self._lost else 0
        self.events.extend(events[:room])
        self._lost += max(0, len(events) - room)


def _framing_fault(status: int, body: bytes) -> ProtocolError:
    try:
        _, text = messages.parse_error(body)
    except WireError:
        text = sentence(status)
    return ProtocolError(f"the daemon ended the connection: {text}")


def following(request_id: int) -> int:
    """The next request id, 1 to 2**32 - 1; 0 is the server's, for frames that answer no request."""
    return request_id % 0xFFFF_FFFF + 1
