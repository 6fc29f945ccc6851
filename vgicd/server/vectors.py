"""VECTOR: up to 1024 register accesses and line changes as one request.

All entries are checked before the first is applied, the wire's rules and the role by one table look-up; what is wrong
is then described by the declarations, which name the entry.  The domain applies all or none.  Guest faults do not stop
a vector, and nothing else runs in between.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, NamedTuple

from vgicd.domain import operations as op
from vgicd.domain.atomic import Refused, apply_all
from vgicd_protocol import frames, messages, vector
from vgicd_protocol.errors import Status, WireError
from vgicd_protocol.frames import HEAD_SIZE, Opcode, Role

if TYPE_CHECKING:
    from vgicd.server.session import Session

_FIRST: Final = vector.ENTRIES_OFFSET - HEAD_SIZE  # of the entries in the body
_KIND: Final = 0xF << 16  # of `operation` in an entry's merged last fields
_WRITES: Final = vector.WRITE << 16
_LINES: Final = vector.LINE << 16
_OPCODES: Final = {vector.READ: Opcode.READ, vector.WRITE: Opcode.WRITE, vector.LINE: Opcode.LINE}


class _Shape(NamedTuple):
    """What the operation and space bytes of an entry ask for."""

    kind: int
    size: int
    space: int
    plane: int


def _shapes_for(role: int) -> dict[int, _Shape]:
    """`operation << 8 | space` of every entry that is well formed and that `role` may send."""
    shapes = {}
    for operation in vector.OPERATIONS:
        kind = operation & 0xF
        for space in frames.LINE_KINDS if kind == vector.LINE else frames.SPACES:
            if messages.access_role(_OPCODES[kind], space) <= role:
                shapes[operation << 8 | space] = _Shape(kind, operation >> 4, space & 0xF, space >> 4)
    return shapes


_SHAPES: Final[Mapping[int, Mapping[int, _Shape]]] = {role: _shapes_for(role) for role in Role if role is not Role.ANY}


def serve(session: Session, request_id: int, body: bytes) -> int:
    """Apply all entries in `body` and reply with their results; answers how many there were.

    WireError, with nothing changed and nothing replied, if an entry may not be applied.
    """
    domain, hub = session.domain, session.hub
    results = _run_prepared(session, body)
    if results is None:
        results = _run_checked(session, body)
    count = len(results) // vector.RESULT_CODEC.size
    reply = b"".join((count.to_bytes(8, "little"), results))
    session.reply(Opcode.VECTOR, request_id, Status.OK, reply, domain.outputs, domain.order)
    if hub.armed:
        hub.spread(session, domain.outputs)
    return count


def _run_prepared(session: Session, body: bytes) -> bytearray | None:
    """The packed results, if every entry is an access that was prepared before; else None, and nothing was done."""
    prepared = session.prepared()
    entries = _entries(session, body)
    runs = []
    for value, offset, where in vector.ENTRY_WIDE.iter_unpack(entries):
        run = prepared.get((where, offset))
        if run is None or (value and (where & _KIND != _WRITES) and (where & _KIND != _LINES or value > 1)):
            return None
        runs.append((run, value))
    results = bytearray(len(entries))
    pack_into, size, switch = vector.RESULT_WIDE.pack_into, vector.RESULT_CODEC.size, session.domain.switch
    position = 0
    for run, value in runs:
        pack_into(results, position, run(value), switch.outputs << 16, 0)
        position += size
    return results


def _run_checked(session: Session, body: bytes) -> bytearray:
    """The packed results of entries that are checked one by one, and prepared for the next time."""
    operations = _operations(session, body)
    domain = session.domain
    try:
        applied = apply_all(domain, operations)
    except Refused as refused:
        error = refused.reason
        raise WireError(Status(error.code), f"entries[{refused.index}].{error.field}", error.text) from None
    if session.role >= Role.GUEST:
        keys = vector.ENTRY_WIDE.iter_unpack(_entries(session, body))
        for (_, offset, where), operation, result in zip(keys, operations, applied, strict=True):
            if not result.fault and (where, offset) not in domain.prepared:
                domain.prepare((where, offset), operation)
    pack = vector.RESULT_CODEC.pack
    return bytearray(b"".join(pack(value or 0, fault, outputs, 0) for value, fault, _, outputs, _ in applied))


def _entries(session: Session, body: bytes) -> memoryview:
    """The entries' bytes; WireError if they are not as many as `count` says, or too many."""
    entries = memoryview(body)[_FIRST:]
    size = vector.ENTRY_CODEC.size
    if len(entries) % size or len(entries) // size != int.from_bytes(body[:_FIRST], "little") or not entries:
        raise _fault(session, body)
    if len(entries) // size > session.shared.config.limits.vector_entries:
        limit = session.shared.config.limits.vector_entries
        raise WireError(Status.TOO_MANY, "count", f"A VECTOR has at most {limit} entries here.")
    return entries


def _operations(session: Session, body: bytes) -> list[op.Read | op.Write | op.Line]:
    shapes = _SHAPES[session.role]
    entries = _entries(session, body)
    operations: list[op.Read | op.Write | op.Line] = []
    read, write, line = op.Read, op.Write, op.Line
    for value, offset, vcpu, operation, space in vector.ENTRY_CODEC.iter_unpack(entries):
        shape = shapes.get(operation << 8 | space)
        if shape is None:
            raise _fault(session, body)
        kind, width, frame, plane = shape
        if kind == vector.READ:
            if value:
                raise _fault(session, body)
            operations.append(read(vcpu, frame, offset, width, plane))
        elif kind == vector.WRITE:
            operations.append(write(vcpu, frame, offset, width, value, plane))
        else:
            if value > 1:
                raise _fault(session, body)
            operations.append(line(offset, value, vcpu, frame == 1))
    return operations


def _fault(session: Session, body: bytes) -> Exception:
    """Why `body` is refused, as the declarations say it."""
    fields = messages.parse_request(Opcode.VECTOR, body)
    for index, entry in enumerate(fields["entries"]):
        needed = messages.access_role(_OPCODES[entry["operation"] & 0xF], entry["space"])
        if needed > session.role:
            return WireError(Status.DENIED, f"entries[{index}]", f"needs role {Role(needed).name.lower()}")
    return RuntimeError("the vector's fast check refuses what the declarations accept")
