"""The catalogue: what every opcode carries both ways, who may send it, and with which flags.

The one table from which parsing, roles, SPEC.md and the golden vectors derive.  To add a message, add a row.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from construct import Construct, Int8ul, Int16ul, Int32sl, Int32ul, Int64ul, Struct, Terminated

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
from vgicd_protocol.errors import Status
from vgicd_protocol.frames import EFFECTS, MORE, Opcode, Role
from vgicd_protocol.image import IMAGE
from vgicd_protocol.strict import FLAG, AtMost, Bits, Blob, NoneOr, OneOf, Require, Reserved, text


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
    _observe(Opcode.STATS, NOTHING, STATS_STATE, "counters: operations, and guest faults by kind and register"),
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
WITH_EFFECTS: Final = {
    opcode: Struct(*message.reply.subcons[:-1], *effects.TRAILER, Terminated)
    for opcode, message in MESSAGES.items()
    if message.effects
}
EVENT: Final = Struct(*EVENT_BODY.subcons, Terminated)
ERROR: Final = Struct(*ERROR_BODY.subcons, Terminated)
