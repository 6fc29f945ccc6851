"""The client's end of the protocol without a socket: requests to bytes, bytes to replies and events.

Nothing here waits or reads a clock, so the blocking and the trio client share it and tests need no connection.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, TypeVar

from vgicd_client import refusals
from vgicd_client.errors import ProtocolError, Refused
from vgicd_client.replies import Reply
from vgicd_client.requests import Request
from vgicd_protocol import framing, messages, vector
from vgicd_protocol.errors import FramingFault, Status, WireError, sentence
from vgicd_protocol.events import GAP, Event
from vgicd_protocol.frames import (
    EFFECTS,
    FRAME_LIMIT,
    HEAD_SIZE,
    HOT_SIZE,
    REPLY_HEAD_SIZE,
    VECTOR_LIMIT,
    VERSION,
    Opcode,
    hot_fault,
)
from vgicd_protocol.framing import Reply as Arrival
from vgicd_protocol.image import Geometry

T = TypeVar("T")

EVENTS_KEPT: Final = 65_536
"""Events that wait for the program; beyond them the newest are lost and counted in a GAP, as the daemon does."""

__all__ = ["Arrival", "Inbox", "decode", "encode", "following", "frames_of"]


def encode(request: Request[Any], request_id: int, *, effects: bool = False, limit: int = FRAME_LIMIT) -> bytes:
    """The frame of `request`, or the frames of an upload longer than the server's `limit`.

    Raises `Refused` when a field breaks a rule of the protocol, as the server would, `TypeError` for what is no number
    where one belongs, and `ValueError` for a datum that is not 64 bits; nothing was sent then.
    """
    opcode, flags = request.opcode, EFFECTS if effects else 0
    try:
        messages.check_flags(opcode, flags)
        if opcode in framing.HOT_OPCODES:
            return _encode_hot(request, request_id, flags)
        if opcode == Opcode.VECTOR:
            return framing.request(opcode, request_id, _pack_entries(request.fields["entries"]), flags, limit)
        return framing.request(opcode, request_id, messages.build_request(opcode, request.fields), flags, limit)
    except WireError as error:
        raise refusals.unbuildable(error, opcode, request.fields) from None


def frames_of(data: bytes) -> Iterator[bytes]:
    """The single frames in `data`, for a packet socket."""
    while data:
        length = int.from_bytes(data[:4], "little")
        yield data[:length]
        data = data[length:]


def _encode_hot(request: Request[Any], request_id: int, flags: int) -> bytes:
    fields, opcode = request.fields, request.opcode
    size, space, value = fields.get("size", 0), fields["space"], fields.get("value", 0)
    try:
        frame = framing.hot_request(opcode, request_id, fields["vcpu"], size, space, fields["address"], value, flags)
    except struct.error:
        raise refusals.unpackable(opcode, fields) from None
    if fault := hot_fault(VERSION, opcode, flags, size, space, value):
        raise refusals.refusal(fault, opcode, fields, None)
    return frame


def _pack_entries(entries: Sequence[Mapping[str, int]]) -> bytes:
    """A VECTOR's body by the derived codec, with the checks of its declaration, which takes 50 times as long."""
    if not 1 <= len(entries) <= VECTOR_LIMIT:
        raise WireError(Status.TOO_MANY, "count", f"a vector has 1 to {VECTOR_LIMIT} entries, not {len(entries)}")
    parts = [len(entries).to_bytes(vector.ENTRIES_OFFSET - HEAD_SIZE, "little")]
    for number, entry in enumerate(entries):
        try:
            parts.append(vector.ENTRY_CODEC.pack(*entry.values()))
        except struct.error as error:
            raise WireError(Status.BAD_VALUE, f"entries[{number}]", f"a field does not fit: {error}") from None
        if fault := vector.entry_fault(entry["value"], entry["operation"], entry["space"]):
            raise WireError(Status(fault), f"entries[{number}]", sentence(fault))
    return b"".join(parts)


def _unpack_results(body: bytes) -> list[dict[str, int]]:
    """A VECTOR's results by the derived codec, checked as its declaration does."""
    codec, start = vector.RESULT_CODEC, vector.RESULTS_OFFSET - REPLY_HEAD_SIZE
    results = [dict(zip(codec.names, fields, strict=True)) for fields in codec.iter_unpack(body[start:])]
    if int.from_bytes(body[:start], "little") != len(results) or any(result["reserved"] for result in results):
        raise WireError(Status.BAD_BODY, "results", "the count does not match, or reserved bits are set")
    return results


def _fields_of(opcode: Opcode, body: bytes, effects: bool) -> dict[str, Any]:
    """The fields of a reply's body; the hot ones and VECTOR's without interpreting a declaration."""
    if opcode == Opcode.VECTOR and len(body) % vector.RESULT_CODEC.size == vector.RESULTS_OFFSET - REPLY_HEAD_SIZE:
        return {"results": _unpack_results(body)}
    if opcode in framing.HOT_OPCODES and not effects and len(body) == HOT_SIZE - REPLY_HEAD_SIZE:
        return {"value": int.from_bytes(body, "little")}
    return messages.parse_reply(opcode, body, effects)


def decode(
    request: Request[T], arrival: Arrival, *, effects: bool = False, geometry: Geometry | None = None
) -> Reply[T]:
    """The reply to `request`; `geometry` is the domain's, for the words of a refusal.

    Raises `Refused` for an error status, `ProtocolError` for what does not parse.
    """
    status, opcode = arrival.status, request.opcode
    if arrival.opcode != opcode:
        raise ProtocolError(f"{opcode.name} was answered by opcode {arrival.opcode:#04x}")
    try:
        if status > Status.ABORT:
            if opcode in framing.HOT_OPCODES:
                raise refusals.refusal(status, opcode, request.fields, geometry)
            refused = Refused(status, *messages.parse_error(arrival.body))
            raise refusals.of_query(refused, opcode, request.fields)
        fields = _fields_of(opcode, arrival.body, effects)
    except WireError as error:
        raise ProtocolError(f"the reply to {opcode.name} does not parse: {error}") from error
    happened = fields.pop("effects") if effects else ()
    return Reply(request.answer(fields), status == Status.ABORT, arrival.order, arrival.outputs, happened)


class Inbox:
    """Bytes in, whole replies out; events are kept aside.

    After a `ProtocolError` the stream can no longer be trusted: the connection must be closed.  `departed` is set
    once the server has said that it stops; `idle` says that nothing is half received.
    """

    def __init__(self) -> None:
        self._reader = framing.FrameReader(smallest=REPLY_HEAD_SIZE)
        self._joiner = framing.ReplyJoiner()
        self._lost = 0
        self.arrivals: deque[Arrival] = deque()
        self.events: deque[Event] = deque()
        self.departed = False
        self.idle = True

    @property
    def has_events(self) -> bool:
        """Whether `next_event` has one."""
        return bool(self.events or self._lost)

    def feed(self, data: bytes | bytearray | memoryview) -> None:
        """Take received bytes; whole replies are appended to `arrivals`, events to `events`."""
        try:
            for frame in self._reader.feed(data):
                self._take(framing.reply_of(frame))
        except FramingFault as fault:
            raise ProtocolError(f"the peer broke the protocol: {fault.text}") from fault
        except WireError as error:
            raise ProtocolError(f"an event does not parse: {error}") from error
        self.idle = not self._reader.pending

    def next_event(self) -> Event | None:
        """The oldest event kept, or None; a GAP stands where some were lost."""
        if self.events:
            return self.events.popleft()
        if self._lost:
            lost, self._lost = self._lost, 0
            return Event(0, GAP, value=lost)
        return None

    def _take(self, reply: Arrival) -> None:
        match reply.opcode:
            case Opcode.EVENT:
                self._keep(messages.parse_events(reply.body))
            case Opcode.ERROR:
                raise ProtocolError(f"the daemon ended the connection: {_reason(reply)}")
            case Opcode.BYE if not reply.request_id:
                self.departed = True
            case _:
                whole = self._joiner.add(reply)
                if whole is not None:
                    self.arrivals.append(whole)

    def _keep(self, events: list[Event]) -> None:
        room = EVENTS_KEPT - len(self.events) if not self._lost else 0
        self.events.extend(events[:room])
        self._lost += max(0, len(events) - room)


def _reason(reply: Arrival) -> str:
    try:
        return messages.parse_error(reply.body)[1]
    except WireError:
        return sentence(reply.status)


def following(request_id: int) -> int:
    """The next request id, 1 to 2**32 - 1; 0 is the server's, for frames that answer no request."""
    return request_id % 0xFFFF_FFFF + 1
