"""Streams as wire frames: what the C driver sends, and which bits of each answer must have which values.

Everything is compared but the operations' numbers, which go on counting from run to run.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from tests.bench.native import Frame
from tests.bench.workload import Operation, Step
from vgicd.domain import operations as op
from vgicd_protocol import framing, vector
from vgicd_protocol.frames import HEAD_SIZE, HOT_SIZE, REPLY_HEAD_SIZE, Opcode

_ORDER: Final = slice(16, 24)  # of any reply: the operation's number


def fields_of(operation: Operation) -> tuple[Opcode, int, int, int, int, int]:
    """Opcode, vCPU, size, space, address and value of the request that asks for `operation`."""
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
        opcode, vcpu, size, space, address, value = fields_of(step.operation)
        request = framing.hot_request(opcode, request_id, vcpu, size, space, address, value)
        answer = framing.reply(opcode, request_id, step.outputs, 0, step.value.to_bytes(8, "little"))
        frames.append(Frame(request, answer, _mask(HOT_SIZE)))
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
        opcode, vcpu, size, space, address, value = fields_of(step.operation)
        body += vector.ENTRY_CODEC.pack(value, address, vcpu, size << 4 | opcode & 0xF, space)
    results = [vector.RESULT_CODEC.pack(step.value, 0, step.outputs, 0) for step in steps]
    count = len(steps).to_bytes(vector.RESULTS_OFFSET - REPLY_HEAD_SIZE, "little")
    answer = framing.reply(Opcode.VECTOR, request_id, steps[-1].outputs, 0, count + b"".join(results))
    return Frame(framing.request(Opcode.VECTOR, request_id, body), answer, _mask(len(answer)))


def _mask(length: int) -> bytes:
    mask = bytearray(b"\xff" * length)
    mask[_ORDER] = bytes(8)
    return bytes(mask)


def echoed(frame: Frame) -> Frame:
    """The same request to a server that answers every byte with itself."""
    return Frame(frame.request, frame.request, b"\xff" * len(frame.request))
