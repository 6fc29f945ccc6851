"""Messages: the body of every request and reply, and the one table that everything else derives from.

A body is a strict construct declaration.  Its field names are those of the daemon's operation records, so a parsed
request becomes an operation without a table; an answer that is a single thing is the field `value`.  Fields that only
serve the layout (counts, reserved, padding) do not appear in parsed bodies and are left out when building.

`parse` and `build` are the only doors: construct's errors become a `WireError` there and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Mapping as AbstractMapping
from dataclasses import dataclass
from typing import Any, Final

from construct import (
    Construct,
    ConstructError,
    Container,
    Int8ul,
    Int16ul,
    Int32sl,
    Int32ul,
    Int64ul,
    StreamError,
    Struct,
    Terminated,
    TerminatedError,
)

from vgicd_protocol import effects, events, session, vector
from vgicd_protocol.bodies import (
    BIT,
    CONSOLE_LIMIT,
    CONSOLE_OUT_LIMIT,
    ENTER_STATE,
    ERRNO,
    ERROR_BODY,
    EVENT_BODY,
    EXIT_STATE,
    HOT_ANSWER,
    HOT_FRAMES,
    IRQ_STATE,
    LINE_BODY,
    LR_STATE,
    NOTHING,
    READ_BODY,
    RESET_BODY,
    STATS_STATE,
    TEXT_LIMIT,
    VCPU,
    VCPU_ONLY,
    VIRQ_ONLY,
    WAIT_MS_LIMIT,
    WRITE_BODY,
    value_of,
)
from vgicd_protocol.codec import Data
from vgicd_protocol.errors import Status, WireError
from vgicd_protocol.frames import EFFECTS, MORE, SPACES, Opcode, Plane, Role, Space
from vgicd_protocol.image import IMAGE
from vgicd_protocol.strict import FLAG, AtMost, Bits, Blob, NoneOr, OneOf, Require, Reserved, Violation, text

Fields = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Message:
    """One opcode: its bodies, the least role that may send it and the flags it may carry.

    `role` is that of the opcode; READ and WRITE depend on their `space` as well (`access_role`).
    `fault` is the status that every fault in the request's body gets; None leaves it to the broken rule.
    """

    opcode: Opcode
    role: Role
    request: Construct
    reply: Construct
    about: str
    effects: bool = False  # changes state, so EFFECTS is allowed
    upload: bool = False  # the request may be split over frames
    fault: Status | None = None

    @property
    def name(self) -> str:
        """Of the opcode."""
        return self.opcode.name

    @property
    def flags(self) -> int:
        """The request flags it may carry."""
        return (EFFECTS if self.effects else 0) | (MORE if self.upload else 0)


def _observe(opcode: Opcode, request: Construct, reply: Construct, about: str) -> Message:
    return Message(opcode, Role.OBSERVE, request, reply, about)


def _guest(opcode: Opcode, request: Construct, reply: Construct, about: str) -> Message:
    return Message(opcode, Role.GUEST, request, reply, about, effects=True)


def _control(opcode: Opcode, request: Construct, reply: Construct, about: str) -> Message:
    return Message(opcode, Role.CONTROL, request, reply, about, effects=True)


_ALL: Final = (
    Message(Opcode.HELLO, Role.ANY, session.HELLO, session.WELCOME, "open the session; the reply is WELCOME"),
    Message(Opcode.PING, Role.ANY, NOTHING, NOTHING, "answer, to show that the server lives"),
    Message(Opcode.BYE, Role.ANY, NOTHING, NOTHING, "answer everything before this, then close"),
    Message(Opcode.READ, Role.OBSERVE, READ_BODY, HOT_ANSWER, "read a register (hot)", effects=True),
    _guest(Opcode.WRITE, WRITE_BODY, HOT_ANSWER, "write a register (hot)"),
    _guest(Opcode.LINE, LINE_BODY, HOT_ANSWER, "drive an input line (hot)"),
    Message(Opcode.VECTOR, Role.OBSERVE, vector.REQUEST, vector.REPLY, "many of the three above, atomically"),
    _guest(Opcode.ENTER, VCPU_ONLY, ENTER_STATE, "explicit mode: load the list registers, enter the guest"),
    _guest(Opcode.EXIT, VCPU_ONLY, EXIT_STATE, "explicit mode: leave the guest, fold the list registers"),
    _control(
        Opcode.MODE,
        Struct(
            "explicit" / FLAG * "0 automatic, 1 explicit",
            "reserved" / Reserved(Int8ul),
            "reserved_2" / Reserved(Int16ul),
        ),
        NOTHING,
        "choose who switches worlds",
    ),
    _observe(Opcode.LR_GET, VCPU_ONLY, LR_STATE, "a vCPU's GICH block"),
    _control(
        Opcode.LR_SET,
        Struct(VCPU, "index" / Int16ul * "of the list register", "value" / Int32ul),
        NOTHING,
        "explicit mode, vCPU inside: write a list register",
    ),
    _control(
        Opcode.GICH,
        Struct(VCPU, "offset" / Int16ul * "in the GICH frame", "value" / Int32ul),
        NOTHING,
        "explicit mode, vCPU inside: write a GICH register",
    ),
    _observe(
        Opcode.IRQ_INFO,
        Struct("intid" / Int32ul, "vcpu" / Int16ul * "0xFFFF for an SPI", "reserved" / Reserved(Int16ul)),
        IRQ_STATE,
        "everything known of one interrupt",
    ),
    _observe(
        Opcode.DUMP,
        Struct("kind" / BIT * "0 Xen's virtual interrupt info, 1 KVM's vgic-state table"),
        value_of(text(TEXT_LIMIT, "utf-8")),
        "the state as text for people",
    ),
    _observe(Opcode.STATS, NOTHING, STATS_STATE, "counters: operations, accesses, guest faults"),
    _observe(
        Opcode.PENDING_CHECK,
        Struct(
            VCPU, "kind" / OneOf(Int8ul, (0, 1)) * "0 the vGIC's, 1 the event channel's", "reserved" / Reserved(Int8ul)
        ),
        value_of(FLAG),
        "has the vCPU something to be woken for?",
    ),
    _control(
        Opcode.VIRQ_ALLOC,
        Struct("spi" / FLAG * "0 a PPI, 1 an SPI", "reserved" / Reserved(Int8ul), "reserved_2" / Reserved(Int16ul)),
        value_of(Int32sl, "the virq, or -1"),
        "allocate the lowest free virq",
    ),
    _control(Opcode.VIRQ_RESERVE, VIRQ_ONLY, value_of(FLAG, "1 if it existed and was free"), "claim a virq"),
    _control(Opcode.VIRQ_FREE, VIRQ_ONLY, NOTHING, "give a virq back"),
    _control(
        Opcode.HW_CONNECT,
        Struct("virq" / Int32ul, "pirq" / Int32ul),
        ERRNO,
        "tie an SPI to a physical interrupt",
    ),
    _control(
        Opcode.HW_DISCONNECT,
        Struct("virq" / Int32ul, "pirq" / NoneOr(Int32ul, 0xFFFFFFFF) * "0xFFFFFFFF: whatever it is tied to"),
        ERRNO,
        "untie it",
    ),
    Message(
        Opcode.HW_DESC,
        Role.CONTROL,
        VIRQ_ONLY,
        value_of(NoneOr(Int32ul, 0xFFFFFFFF), "the physical INTID, 0xFFFFFFFF none"),
        "what an SPI is tied to",
    ),
    _guest(Opcode.PHYS_LINE, Struct("pirq" / Int32ul, "level" / BIT), NOTHING, "drive a physical line"),
    _control(
        Opcode.HW_IRQ,
        Struct("pirq" / Int32ul, "virq" / Int32ul),
        NOTHING,
        "explicit mode: the physical interrupt fires",
    ),
    _control(
        Opcode.VCPU_MOVE,
        Struct(VCPU, "reserved" / Reserved(Int16ul), "pcpu" / Int32ul),
        NOTHING,
        "the vCPU runs on another physical CPU",
    ),
    _control(
        Opcode.VCPU_POWER,
        Struct(VCPU, "on" / FLAG, "reserved" / Reserved(Int8ul)),
        NOTHING,
        "PSCI CPU_OFF and CPU_ON",
    ),
    _control(
        Opcode.SET_IRQ_LEVEL,
        Struct("intid" / Int32ul, "level" / Int32ul, "padding" / Int32ul * "part of the call: not 0 is refused"),
        ERRNO,
        "Xen's set_irq_level hypercall",
    ),
    _guest(
        Opcode.EVENT_CHANNEL,
        Struct(VCPU, "flag" / FLAG * "the upcall-pending flag", "reserved" / Reserved(Int8ul)),
        NOTHING,
        "set or clear a vCPU's upcall-pending flag",
    ),
    _guest(
        Opcode.CONSOLE,
        Struct("data" / Blob(CONSOLE_LIMIT) * "offered to the receiver"),
        Struct(
            "accepted" / Int32ul * "bytes of the offer that fitted",
            "data" / Blob(CONSOLE_OUT_LIMIT) * "what the guest wrote since the last CONSOLE",
        ),
        "bytes to and from the vPL011",
    ),
    _guest(
        Opcode.TIME,
        Struct("reserved" / Reserved(Int32ul), "now" / Int64ul * "ticks of the guest's counter"),
        NOTHING,
        "advance virtual time",
    ),
    Message(
        Opcode.WAIT,
        Role.GUEST,
        Struct(
            "outputs" / Int16ul * "wait for any of these bits, as in a reply's `outputs`; not 0",
            "reserved" / Reserved(Int16ul),
            "milliseconds" / AtMost(Int32ul, WAIT_MS_LIMIT, Status.BAD_VALUE) * "deadline, from now",
            Require("outputs", lambda body: body.outputs != 0, "not 0", Status.BAD_VALUE),
        ),
        NOTHING,
        "answered once one of the outputs is high; TIMEOUT after the deadline",
    ),
    _observe(
        Opcode.SUBSCRIBE,
        Struct("mask" / Bits(Int32ul, events.EVENT_MASK) * "bit 1 << kind; 0 ends the subscription"),
        NOTHING,
        "ask for EVENT frames",
    ),
    _observe(Opcode.SNAPSHOT, NOTHING, Struct("image" / IMAGE), "the whole state as an image"),
    Message(
        Opcode.RESTORE,
        Role.CONTROL,
        Struct("reserved" / Reserved(Int32ul), "image" / IMAGE),
        NOTHING,
        "replace the whole state by an image",
        effects=True,
        upload=True,
        fault=Status.BAD_IMAGE,
    ),
    Message(
        Opcode.RESET,
        Role.CONTROL,
        RESET_BODY,
        ERRNO,
        "build the domain anew, perhaps with another configuration",
        effects=True,
        fault=Status.BAD_CONFIG,
    ),
)


def _closed(message: Message) -> Message:
    """`message` with bodies that end where their frames do."""
    return Message(
        message.opcode,
        message.role,
        Struct(*message.request.subcons, Terminated),
        Struct(*message.reply.subcons, Terminated),
        message.about,
        message.effects,
        message.upload,
        message.fault,
    )


MESSAGES: Final[dict[int, Message]] = {int(message.opcode): _closed(message) for message in _ALL}
_WITH_EFFECTS: Final = {
    opcode: Struct(*message.reply.subcons[:-1], *effects.TRAILER, Terminated)
    for opcode, message in MESSAGES.items()
    if message.effects
}
_EVENT: Final = Struct(*EVENT_BODY.subcons, Terminated)
_ERROR: Final = Struct(*ERROR_BODY.subcons, Terminated)


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
    fields = _parse(_WITH_EFFECTS[opcode] if with_effects else message.reply, body, None)
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
    fields = _parse(_ERROR, body, None)
    return fields["field"], fields["text"]


def build_error(field: str, text: str) -> bytes:
    """The body of a reply with an error status or of an ERROR frame; what is too long is cut."""
    field = field.encode("ascii", "replace").decode()[:255]
    return _build(_ERROR, {"field": field, "text": text.encode()[:4096].decode(errors="ignore")}, None)


def parse_events(body: Data) -> list[events.Event]:
    """The events of an EVENT frame's body."""
    return [events.Event(**record) for record in _parse(_EVENT, body, None)["events"]]


def build_events(records: list[events.Event]) -> bytes:
    """The body of an EVENT frame with at most `EVENT_LIMIT` events."""
    return _build(_EVENT, {"events": [record._asdict() for record in records]}, None)


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
