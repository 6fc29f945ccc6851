"""Streams as wire frames: what the C driver sends, and which bits of each answer must have which values.

Everything is compared but the operations' numbers, which go on counting from run to run.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from tests.bench.native import Frame
from tests.bench.workload import Operation, Step
from vgicd.domain import operations as op
from vgicd_protocol import vector
from vgicd_protocol.frames import (
    HEAD_CODEC,
    HEAD_SIZE,
    HOT_CODEC,
    HOT_REPLY_CODEC,
    HOT_SIZE,
    REPLY_BIT,
    REPLY_HEAD_CODEC,
    VERSION,
    Opcode,
)

_ORDER: Final = slice(16, 24)  # of any reply: the operation's number
_REPLY_MASK: Final = bytes(0 if i in range(*_ORDER.indices(HOT_SIZE)) else 0xFF for i in range(HOT_SIZE))


def hot_request(operation: Operation, request_id: int) -> bytes:
    """The 32-byte frame of a READ, WRITE or LINE."""
    opcode, vcpu, size, space, address, value = _fields(operation)
    return HOT_CODEC.pack(HOT_SIZE, VERSION, opcode, 0, request_id, vcpu, size, space, address, value)


def _fields(operation: Operation) -> tuple[Opcode, int, int, int, int, int]:
    match operation:
        case op.Read():
            space = operation.plane << 4 | operation.space
            return Opcode.READ, operation.vcpu, operation.size, space, operation.address, 0
        case op.Write():
            space = operation.plane << 4 | operation.space
            return Opcode.WRITE, operation.vcpu, operation.size, space, operation.address, operation.value
        case op.Line():
            return Opcode.LINE, operation.vcpu, 0, int(operation.pulse), operation.intid, operation.level


def hot_frames(steps: Iterable[Step]) -> list[Frame]:
    """One frame per step."""
    frames = []
    for request_id, step in enumerate(steps):
        request = hot_request(step.operation, request_id)
        opcode = _fields(step.operation)[0] | REPLY_BIT
        answer = HOT_REPLY_CODEC.pack(HOT_SIZE, VERSION, opcode, 0, request_id, step.outputs, 0, 0, step.value)
        frames.append(Frame(request, answer, _REPLY_MASK))
    return frames


def vector_frames(steps: Sequence[Step], entries: int) -> list[Frame]:
    """VECTOR frames of `entries` steps each; steps that fill no vector are left out."""
    return [
        _vector(steps[at : at + entries], request_id)
        for request_id, at in enumerate(range(0, len(steps) - entries + 1, entries))
    ]


def _vector(steps: Sequence[Step], request_id: int) -> Frame:
    body = len(steps).to_bytes(vector.ENTRIES_OFFSET - HEAD_SIZE, "little")
    for step in steps:
        opcode, vcpu, size, space, address, value = _fields(step.operation)
        body += vector.ENTRY_CODEC.pack(value, address, vcpu, size << 4 | opcode & 0xF, space)
    request = HEAD_CODEC.pack(HEAD_SIZE + len(body), VERSION, Opcode.VECTOR, 0, request_id) + body

    results = b"".join(vector.RESULT_CODEC.pack(step.value, 0, step.outputs, 0) for step in steps)
    opcode = Opcode.VECTOR | REPLY_BIT
    length = vector.RESULTS_OFFSET + len(results)
    head = REPLY_HEAD_CODEC.pack(length, VERSION, opcode, 0, request_id, steps[-1].outputs, 0, 0)
    answer = head + vector.COUNT.build({"count": len(steps)}) + results
    mask = bytearray(b"\xff" * length)
    mask[_ORDER] = bytes(8)
    return Frame(request, answer, bytes(mask))


def echoed(frame: Frame) -> Frame:
    """The same request to a server that answers every byte with itself."""
    return Frame(frame.request, frame.request, b"\xff" * len(frame.request))
