"""Framing without I/O: bytes in, whole frames out, and the other way round.

Shared by the server's cold path, the clients and the tests.  Nothing here reads, writes or waits.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from vgicd_protocol import bodies, messages
from vgicd_protocol.codec import Data
from vgicd_protocol.effects import Record, append_trailer
from vgicd_protocol.errors import FramingFault, Status, WireError, sentence
from vgicd_protocol.events import Event
from vgicd_protocol.frames import (
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
)

HOT_OPCODES: Final = frozenset({int(Opcode.READ), int(Opcode.WRITE), int(Opcode.LINE)})
ERROR_OPCODE: Final = Opcode.ERROR | REPLY_BIT
EVENT_OPCODE: Final = Opcode.EVENT | REPLY_BIT


class Frame(NamedTuple):
    """A whole frame, its head unpacked; `body` is all behind the 12-byte head."""

    opcode: int
    status: int
    request_id: int
    body: bytes


class Reply(NamedTuple):
    """A whole frame from the server, its 24-byte head unpacked; `opcode` is the request's."""

    opcode: int
    status: int
    request_id: int
    outputs: int
    more: bool
    order: int
    body: bytes


class FrameReader:
    """Cuts a byte stream into frames.

    `smallest` is the shortest legal frame: 12 for what a server reads, 24 for what a client reads.  After a
    `FramingFault` the reader raises it again for ever: nothing behind it can be trusted.
    """

    def __init__(self, limit: int = FRAME_LIMIT, smallest: int = HEAD_SIZE, version: int = VERSION) -> None:
        self._buffer = bytearray()
        self._limit = limit
        self._smallest = smallest
        self._version = version
        self._fault: FramingFault | None = None

    @property
    def pending(self) -> int:
        """Bytes held of frames not yet returned."""
        return len(self._buffer)

    def feed(self, data: Data) -> Iterator[Frame]:
        """Take `data`; yields every frame that is now whole. Raises `FramingFault`, after the frames before it."""
        self._buffer += data
        return self._frames()

    def _frames(self) -> Iterator[Frame]:
        if self._fault is not None:
            raise self._fault
        start = 0
        try:
            while (length := self._length(start)) and len(self._buffer) - start >= length:
                _, _, opcode, status, request_id = HEAD_CODEC.unpack_from(self._buffer, start)
                body = bytes(self._buffer[start + HEAD_SIZE : start + length])
                start += length
                yield Frame(opcode, status, request_id, body)
        finally:
            del self._buffer[:start]

    def _length(self, start: int) -> int:
        """The length of the frame at `start`, 0 while its head is not whole."""
        have = len(self._buffer) - start
        if have < 4:
            return 0
        length = int.from_bytes(self._buffer[start : start + 4], "little")
        request_id = int.from_bytes(self._buffer[start + 8 : start + 12], "little") if have >= HEAD_SIZE else 0
        if not self._smallest <= length <= self._limit:
            text = f"a frame of {length} bytes: send {self._smallest} to {self._limit}"
            raise self._failed(Status.FRAME_LENGTH, text, request_id)
        if have < HEAD_SIZE:
            return 0
        version = self._buffer[start + 4]
        if version != self._version:
            text = f"a frame of version {version}: this connection speaks {self._version}"
            raise self._failed(Status.VERSION, text, request_id)
        return length

    def _failed(self, code: Status, text: str, request_id: int) -> FramingFault:
        self._fault = FramingFault(code, text, request_id)
        return self._fault


class UploadJoiner:
    """Joins the frames of split requests of one connection."""

    def __init__(self, limit: int = UPLOAD_LIMIT) -> None:
        self._limit = limit
        self._chunks: list[bytes] = []
        self._size = 0
        self._key: tuple[int, int] | None = None

    @property
    def open(self) -> bool:
        """An upload has begun and its last frame has not come."""
        return self._key is not None

    def add(self, frame: Frame) -> Frame | None:
        """The whole request when `frame` completes one, else None.

        Raises `FramingFault` FRAME_ORDER for a frame of another request inside an upload, and `WireError` TOO_MANY
        at the last frame of an upload that was longer than the limit, none of which is kept.  The flags of the last
        frame stand for the request.
        """
        if self._key is None and not frame.status & MORE:
            return frame
        key = (frame.opcode, frame.request_id)
        if self._key is None:
            self._key = key
        elif key != self._key:
            raise FramingFault(Status.FRAME_ORDER, sentence(Status.FRAME_ORDER), frame.request_id)
        self._size += len(frame.body)
        if self._size <= self._limit:
            self._chunks.append(frame.body)
        else:
            self._chunks.clear()
        if frame.status & MORE:
            return None
        body, size = b"".join(self._chunks), self._size
        self._chunks, self._size, self._key = [], 0, None
        if size > self._limit:
            raise WireError(Status.TOO_MANY, "length", f"an upload of {size} bytes: send at most {self._limit}")
        return frame._replace(body=body)


class ReplyJoiner:
    """Joins the frames of split replies, as they come from the server."""

    def __init__(self) -> None:
        self._parts: list[Reply] = []

    def add(self, reply: Reply) -> Reply | None:
        """The whole reply when `reply` completes one, else None. Raises `FramingFault` when frames are mixed up."""
        if self._parts and reply.request_id != self._parts[0].request_id:
            raise FramingFault(Status.FRAME_ORDER, sentence(Status.FRAME_ORDER), reply.request_id)
        if reply.more or self._parts:
            self._parts.append(reply)
        if reply.more:
            return None
        if not self._parts:
            return reply
        body = b"".join(part.body for part in self._parts)
        self._parts = []
        return reply._replace(body=body)


def reply_of(frame: Frame) -> Reply:
    """A frame from the server with its whole head unpacked. Raises `FramingFault` if it is no reply."""
    if not frame.opcode & REPLY_BIT or len(frame.body) < REPLY_HEAD_SIZE - HEAD_SIZE:
        raise FramingFault(Status.BAD_BODY, f"opcode {frame.opcode:#04x} is no reply", frame.request_id)
    outputs = int.from_bytes(frame.body[0:2], "little")
    flags = int.from_bytes(frame.body[2:4], "little")
    order = int.from_bytes(frame.body[4:12], "little")
    if flags & ~REPLY_MORE:
        raise FramingFault(Status.RESERVED_BITS, f"reply flags {flags:#x} are not known", frame.request_id)
    opcode = frame.opcode & ~REPLY_BIT
    return Reply(opcode, frame.status, frame.request_id, outputs, bool(flags), order, frame.body[12:])


def request(opcode: int, request_id: int, body: bytes = b"", flags: int = 0, limit: int = FRAME_LIMIT) -> bytes:
    """The frame of a request, or the consecutive frames of an upload.

    Raises `WireError` FRAME_LENGTH when `body` needs more than one frame and the message cannot be split.
    """
    room = limit - HEAD_SIZE
    if len(body) <= room:
        return HEAD_CODEC.pack(HEAD_SIZE + len(body), VERSION, opcode, flags, request_id) + body
    if not messages.message_of(opcode).upload:
        raise WireError(Status.FRAME_LENGTH, "body", f"{len(body)} bytes do not fit a frame of {limit}")
    chunks = [body[at : at + room] for at in range(0, len(body), room)]
    frames = [
        HEAD_CODEC.pack(HEAD_SIZE + len(chunk), VERSION, opcode, flags | MORE, request_id) + chunk
        for chunk in chunks[:-1]
    ]
    last = HEAD_CODEC.pack(HEAD_SIZE + len(chunks[-1]), VERSION, opcode, flags, request_id) + chunks[-1]
    return b"".join([*frames, last])


def hot_request(
    opcode: int,
    request_id: int,
    vcpu: int,
    size: int,
    space: int,
    address: int,
    value: int = 0,
    flags: int = 0,
) -> bytes:
    """The 32 bytes of a READ, WRITE or LINE. `space` is plane << 4 | space; LINE: 0 level, 1 pulse."""
    return HOT_CODEC.pack(HOT_SIZE, VERSION, opcode, flags, request_id, vcpu, size, space, address, value)


def reply(
    opcode: int,
    request_id: int,
    outputs: int,
    order: int,
    body: bytes = b"",
    status: int = 0,
    limit: int = FRAME_LIMIT,
) -> bytes:
    """The frame or frames of the reply to request `opcode`; `body` is all behind the 24-byte head.

    For READ, WRITE and LINE `body` is the value as u64 (and the trailer, if EFFECTS was asked for).
    """
    room = limit - REPLY_HEAD_SIZE
    chunks = [body[at : at + room] for at in range(0, len(body), room)] or [b""]
    frames: list[bytes] = []
    for left, chunk in zip(range(len(chunks) - 1, -1, -1), chunks, strict=True):
        flags = REPLY_MORE if left else 0
        length = REPLY_HEAD_SIZE + len(chunk)
        head = REPLY_HEAD_CODEC.pack(length, VERSION, opcode | REPLY_BIT, status, request_id, outputs, flags, order)
        frames += (head, chunk)
    return b"".join(frames)


def error_reply(opcode: int, request_id: int, outputs: int, order: int, error: WireError) -> bytes:
    """The reply to a refused request: code, field and text; 32 bytes with the code alone for the hot ones."""
    body = bytes(8) if opcode in HOT_OPCODES else messages.build_error(error.field, error.text)
    return reply(opcode, request_id, outputs, order, body, error.code)


def error_frame(fault: FramingFault, outputs: int = 0, order: int = 0) -> bytes:
    """The ERROR frame to send before closing."""
    return reply(Opcode.ERROR, fault.request_id, outputs, order, messages.build_error("", fault.text), fault.code)


def event_frames(request_id: int, outputs: int, order: int, events: Iterable[Event]) -> bytes:
    """EVENT frames for `events`, as many as the limit on their records needs.

    `request_id` is that of the SUBSCRIBE; `outputs` and `order` are the domain's when the frames are made.
    """
    records = list(events)
    limit = bodies.EVENT_LIMIT
    return b"".join(
        reply(Opcode.EVENT, request_id, outputs, order, messages.build_events(records[at : at + limit]))
        for at in range(0, len(records), limit)
    )


def reply_body(opcode: int, value: object, effects: Sequence[Record] | None = None) -> bytes:
    """The body of the reply to `opcode` for an operation's result; `effects` (kind, a, b, c) adds the trailer."""
    if value is None and opcode in HOT_OPCODES:
        value = 0  # a WRITE or LINE has no answer, but its reply has the field
    body = messages.build_reply(opcode, messages.reply_fields(opcode, value))
    return body if effects is None else append_trailer(body, effects)
