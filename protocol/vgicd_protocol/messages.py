"""Messages: the doors between bytes and the fields of every request and reply.

A body is a strict construct declaration (`catalogue`, `bodies`).  Its field names are those of the daemon's operation
records, so a parsed request becomes an operation without a table; an answer that is a single thing is the field
`value`.  Fields that only serve the layout (counts, reserved, padding) do not appear in parsed bodies and are left out
when building.

There is no other way in or out: construct's errors become a `WireError` there and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Mapping as AbstractMapping
from typing import Any, Final

from construct import Construct, ConstructError, Container, StreamError, TerminatedError

from vgicd_protocol import effects, events
from vgicd_protocol.bodies import HOT_FRAMES
from vgicd_protocol.catalogue import ERROR, EVENT, MESSAGES, WITH_EFFECTS, Message
from vgicd_protocol.codec import Data
from vgicd_protocol.errors import Status, WireError
from vgicd_protocol.frames import SPACES, Opcode, Plane, Role, Space
from vgicd_protocol.strict import Violation

__all__ = ["MESSAGES", "Message"]

Fields = dict[str, Any]


def message_of(opcode: int) -> Message:
    """The message that `opcode` requests; raises `WireError` UNSUPPORTED for any other number."""
    message = MESSAGES.get(opcode)
    if message is None:
        raise WireError(Status.UNSUPPORTED, "opcode", f"{opcode:#04x} is not a request of this version")
    return message


def check_flags(opcode: int, status: int) -> None:
    """Raise `WireError` RESERVED_BITS if a request's `status` has a flag that its message may not carry."""
    unknown = status & ~message_of(opcode).flags
    if unknown:
        text = f"the flags {unknown:#x} mean nothing on this request: send them as zero"
        raise WireError(Status.RESERVED_BITS, "status", text)


def parse_hot_frame(frame: Data) -> Fields:
    """A whole READ, WRITE or LINE by the declarations alone: what the hot path does, slowly.

    Raises `WireError` exactly where `frames.hot_fault` refuses, with the same code.
    """
    opcode = frame[5] if len(frame) > 5 else 0
    if opcode not in HOT_FRAMES:
        raise WireError(Status.UNSUPPORTED, "opcode", f"{opcode:#04x} is no hot request")
    return _parse(HOT_FRAMES[Opcode(opcode)], frame, None)


def _access_roles(gich: Role, debug: Role) -> bytes:
    roles = bytearray(256)
    for space in SPACES:
        match space >> 4:
            case Plane.GUEST:
                roles[space] = gich if space & 0xF == Space.GICH else Role.GUEST
            case Plane.DEBUG:
                roles[space] = debug
            case _:
                roles[space] = Role.CONTROL
    return bytes(roles)


READ_ROLE: Final = _access_roles(gich=Role.OBSERVE, debug=Role.OBSERVE)
WRITE_ROLE: Final = _access_roles(gich=Role.CONTROL, debug=Role.GUEST)


def access_role(opcode: int, space: int) -> int:
    """The least role for READ, WRITE or LINE with this `space` byte (of a frame or of a vector's entry)."""
    if opcode == Opcode.READ:
        return READ_ROLE[space]
    return WRITE_ROLE[space] if opcode == Opcode.WRITE else Role.GUEST


def request_role(opcode: int, fields: AbstractMapping[str, Any]) -> int:
    """The least role for a parsed request, its entries included."""
    if opcode in HOT_FRAMES:
        return access_role(opcode, fields["space"])
    if opcode == Opcode.VECTOR:
        return max(access_role(0x10 | e["operation"] & 0xF, e["space"]) for e in fields["entries"])
    return message_of(opcode).role


def parse_request(opcode: int, body: Data) -> Fields:
    """The fields of a request's body (all that follows its 12-byte head, joined if it was split).

    Raises `WireError`: UNSUPPORTED for an unknown opcode, else the code of the first broken rule with the field.
    """
    message = message_of(opcode)
    return _parse(message.request, body, message.fault)


def build_request(opcode: int, fields: AbstractMapping[str, Any]) -> bytes:
    """The body of a request; raises `WireError` when a field is missing, unknown or breaks a rule."""
    message = message_of(opcode)
    return _build(message.request, fields, message.fault)


def parse_reply(opcode: int, body: Data, with_effects: bool = False) -> Fields:
    """The fields of the body of a reply with status OK or ABORT (all that follows its 24-byte head, joined).

    `opcode` is the request's.  `with_effects` adds `effects`, a tuple of `Effect`.
    """
    message = message_of(opcode)
    fields = _parse(WITH_EFFECTS[opcode] if with_effects else message.reply, body, None)
    if with_effects:
        fields["effects"] = effects.plain_effects(fields["effects"])
    return fields


def build_reply(opcode: int, fields: AbstractMapping[str, Any]) -> bytes:
    """The body of a reply with status OK or ABORT; `effects.append_trailer` adds a trailer."""
    return _build(message_of(opcode).reply, fields, None)


def reply_fields(opcode: int, value: Any) -> Fields:
    """An operation's result as the fields of its reply: a record's own, else the reply's only field, if it has one."""
    names = field_names(message_of(opcode).reply)
    if len(names) > 1:
        fields: Fields = value._asdict()
        return fields
    return dict.fromkeys(names, value)


def parse_error(body: Data) -> tuple[str, str]:
    """`field` and `text` of a reply with an error status (READ, WRITE and LINE have none) or of an ERROR frame."""
    fields = _parse(ERROR, body, None)
    return fields["field"], fields["text"]


def build_error(field: str, text: str) -> bytes:
    """The body of a reply with an error status or of an ERROR frame; what is too long is cut."""
    field = field.encode("ascii", "replace").decode()[:255]
    return _build(ERROR, {"field": field, "text": text.encode()[:4096].decode(errors="ignore")}, None)


def parse_events(body: Data) -> list[events.Event]:
    """The events of an EVENT frame's body."""
    return [events.Event(**record) for record in _parse(EVENT, body, None)["events"]]


def build_events(records: list[events.Event]) -> bytes:
    """The body of an EVENT frame with at most `EVENT_LIMIT` events."""
    return _build(EVENT, {"events": [record._asdict() for record in records]}, None)


def _parse(declaration: Construct, data: Data, fault: Status | None) -> Fields:
    parsed = _guarded(lambda: declaration.parse(data), fault)
    fields: Fields = _plain(parsed)
    return fields


def field_names(declaration: Construct) -> frozenset[str]:
    """The names that a parsed body has and that a built one needs."""
    return frozenset(subcon.name for subcon in declaration.subcons if subcon.name and not subcon.flagbuildnone)


def _build(declaration: Construct, fields: AbstractMapping[str, Any], fault: Status | None) -> bytes:
    wanted = field_names(declaration)
    if fields.keys() != wanted:
        missing, unknown = sorted(wanted - fields.keys()), sorted(fields.keys() - wanted)
        raise WireError(fault or Status.BAD_BODY, "", f"missing fields {missing}, unknown fields {unknown}")
    built: bytes = _guarded(lambda: declaration.build(dict(fields)), fault)
    return built


def _guarded(call: Callable[[], Any], fault: Status | None) -> Any:
    """The one place where an error of construct becomes an error of ours."""
    try:
        return call()
    except ConstructError as error:
        code = error.code if isinstance(error, Violation) else Status.BAD_BODY
        raise WireError(fault or code, _field_of(error.path), _text_of(error)) from None


def _field_of(path: str | None) -> str:
    """ "(parsing) -> entries[3] -> space" as "entries[3].space".

    A documented field is in construct's path twice, once for its name and once for its text.
    """
    names: list[str] = []
    for part in (path or "").split(" -> ")[1:]:
        if names and names[-1] == part.partition("[")[0]:
            names.pop()
        names.append(part)
    return ".".join(names)


def _text_of(error: ConstructError) -> str:
    if isinstance(error, Violation):
        return error.text
    if isinstance(error, StreamError):
        return "the body ends before this field does"
    if isinstance(error, TerminatedError):
        return "the body has bytes left over behind its last field"
    return str(error).rpartition("\n")[2]


_LAYOUT_ONLY: Final = frozenset({"count", "magic"})


def _plain(parsed: Any) -> Any:
    """Containers as dicts without the fields that only serve the layout."""
    if isinstance(parsed, Container):
        return {
            name: _plain(value)
            for name, value in parsed.items()
            if name not in _LAYOUT_ONLY and not name.startswith(("reserved", "_"))
        }
    return [_plain(item) for item in parsed] if isinstance(parsed, list) else parsed
