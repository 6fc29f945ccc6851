"""Bodies: what follows the head of each frame, as strict construct declarations.

`catalogue` ties them to their opcodes.  All fields lie naturally aligned in the frame: a request's body begins at byte
12 of its frame and a reply's at byte 24, so what holds 64-bit fields begins with 32 bits in a request.
"""

from __future__ import annotations

from typing import Any, Final

from construct import Adapter, Construct, Int8ul, Int16sl, Int16ul, Int32sl, Int32ul, Int64ul, Struct, Terminated, this

from vgicd_protocol import events, settings
from vgicd_protocol.errors import Status
from vgicd_protocol.frames import (
    EFFECTS,
    HEAD,
    HOT_BODY,
    HOT_SIZE,
    LINE_KINDS,
    REPLY_HEAD_SIZE,
    SIZES,
    SPACES,
    VERSION,
    Opcode,
)
from vgicd_protocol.strict import (
    FLAG,
    Bits,
    Fixed,
    Items,
    OneOf,
    Require,
    Reserved,
    Violation,
    Words,
    ZeroPad,
    count_of,
    narrow,
    text,
)

TEXT_LIMIT: Final = 1 << 20  # bytes of a DUMP
CONSOLE_LIMIT: Final = 4096  # bytes offered at once
CONSOLE_OUT_LIMIT: Final = 1 << 20
STAT_LIMIT: Final = 16_384
EVENT_LIMIT: Final = 2048  # records of an EVENT frame
WAIT_MS_LIMIT: Final = 86_400_000


class Settings(Adapter):  # type: ignore[misc]  # construct is untyped
    """RESET's configuration: a dict of settings, or None."""

    def _decode(self, obj: Any, _context: Any, path: str) -> dict[str, Any] | None:
        given = settings.settings_of(obj.entries, f"{path} -> entries")
        return given if obj.configure else None

    def _encode(self, obj: Any, _context: Any, path: str) -> dict[str, Any]:
        entries = [] if obj is None else settings.items_of(dict(obj), path)
        return {"configure": obj is not None, "entries": entries}


class Numbers(Adapter):  # type: ignore[misc]  # construct is untyped
    """STATS: a dict of numbers by name, in the order of the names."""

    def _decode(self, obj: Any, _context: Any, path: str) -> dict[str, int]:
        numbers = {entry.name: entry.value for entry in obj.entries}
        if len(numbers) != len(obj.entries) or list(numbers) != sorted(numbers):
            raise Violation(Status.BAD_BODY, "must have ascending names, each once", f"{path} -> entries")
        return numbers

    def _encode(self, obj: Any, _context: Any, _path: str) -> dict[str, Any]:
        return {"entries": [{"name": name, "value": value} for name, value in sorted(obj.items())]}


NOTHING: Final = Struct()
VCPU: Final = "vcpu" / Int16ul
BIT: Final = OneOf(Int32ul, (0, 1))


def value_of(declaration: Construct, docs: str = "") -> Struct:
    """The body of an answer that is a single thing."""
    return Struct("value" / declaration * docs)


READ_BODY: Final = narrow(
    HOT_BODY,
    size=lambda field: OneOf(field, SIZES, code=Status.BAD_SIZE),
    space=lambda field: OneOf(field, SPACES, "a known space and plane", Status.BAD_VALUE),
    value=lambda field: OneOf(field, (0,), code=Status.RESERVED_BITS),
)
WRITE_BODY: Final = narrow(
    HOT_BODY,
    size=lambda field: OneOf(field, SIZES, code=Status.BAD_SIZE),
    space=lambda field: OneOf(field, SPACES, "a known space and plane", Status.BAD_VALUE),
)
LINE_BODY: Final = narrow(
    HOT_BODY,
    size=lambda field: OneOf(field, (0,), code=Status.RESERVED_BITS),
    space=lambda field: OneOf(field, LINE_KINDS, code=Status.BAD_VALUE),
    value=lambda field: OneOf(field, (0, 1), code=Status.BAD_VALUE),
)


def _hot_frame(opcode: Opcode, body: Struct) -> Struct:
    head = narrow(
        HEAD,
        length=lambda field: Fixed(field, HOT_SIZE),
        version=lambda field: Fixed(field, VERSION, Status.VERSION),
        opcode=lambda field: Fixed(field, opcode),
        status=lambda field: Bits(field, EFFECTS),
    )
    return Struct(*head.subcons, *body.subcons, Terminated)


# The whole strict frame of each hot request: what `frames.hot_fault` decides in plain ints.
HOT_FRAMES: Final = {
    Opcode.READ: _hot_frame(Opcode.READ, READ_BODY),
    Opcode.WRITE: _hot_frame(Opcode.WRITE, WRITE_BODY),
    Opcode.LINE: _hot_frame(Opcode.LINE, LINE_BODY),
}
HOT_ANSWER: Final = value_of(Int64ul, "READ: the datum, 0 on a fault; else 0")

VCPU_ONLY: Final = Struct(VCPU, "reserved" / Reserved(Int16ul))
VIRQ_ONLY: Final = Struct("virq" / Int32ul)
ERRNO: Final = value_of(Int32sl, "0 or a negative errno")

ENTER_STATE: Final = Struct(
    "hcr" / Int32ul,
    "misr" / Int32ul,
    "used" / Int32ul * "list registers filled",
    "count" / count_of("lrs", 64) * "of list registers, all of them",
    "lrs" / Words(this.count, "I") * "after loading",
)
EXIT_STATE: Final = Struct(
    "eisr" / Int64ul * "as found; bit n is list register n",
    "elrsr" / Int64ul * "as found",
    "misr" / Int32ul * "as found",
    "apr" / Int32ul * "as found",
    "hcr" / Int32ul * "after folding",
    "count" / count_of("lrs", 64) * "of list registers, all of them",
    "lrs" / Words(this.count, "I") * "as found",
)
LR_STATE: Final = Struct(
    "eisr" / Int64ul * "bit n is list register n",
    "elrsr" / Int64ul,
    "inside" / FLAG * "the vCPU is inside the guest",
    "reserved" / Reserved(Int8ul),
    "used" / Int16ul * "list registers in use",
    "hcr" / Int32ul,
    "vtr" / Int32ul,
    "vmcr" / Int32ul,
    "misr" / Int32ul,
    "apr" / Int32ul,
    "count" / count_of("lrs", 64) * "of list registers, all of them",
    "lrs" / Words(this.count, "I"),
)
IRQ_STATE: Final = Struct(
    "intid" / Int32ul,
    "vcpu" / Int16ul * "the owner of an SGI or PPI, else 0xFFFF",
    "enabled" / FLAG,
    "is_level" / FLAG * "trigger: 0 edge, 1 level",
    "line_level" / FLAG * "the input line",
    "pending_latch" / FLAG,
    "pending" / FLAG * "as the guest would read it now",
    "active" / FLAG,
    "group" / Int8ul,
    "priority" / Int8ul,
    "targets" / Int8ul * "GICD_ITARGETSR",
    "source" / Int8ul * "SGI: mask of the vCPUs it is pending from",
    "active_source" / Int8ul * "SGI: the vCPU of the active one",
    "hw" / FLAG * "tied to a physical interrupt",
    "target" / Int16sl * "the vCPU that `targets` selects, -1 none",
    "listed" / Int16sl * "the vCPU on whose ap_list it is, -1 none",
    "position" / Int16sl * "in that list, -1 none",
    "lr" / Int16sl * "the list register that holds it, -1 none",
    "reserved" / Reserved(Int16ul),
    "hwintid" / Int32ul * "the physical INTID",
    "lr_value" / Int32ul * "that list register's word",
)
RESET_BODY: Final = Struct(
    "config"
    / Settings(
        Struct(
            "configure" / FLAG * "0 keep the configuration, 1 use the settings (absent keys have their defaults)",
            "reserved" / Reserved(Int8ul),
            "count" / count_of("entries", len(settings.KEYS), Int16ul) * "of settings; 0 if configure is 0",
            "entries" / Items(this.count, settings.SETTING) * "in ascending order of their keys",
            Require("configure", lambda body: body.configure or not body.entries, "1 when there are settings"),
        )
    )
)
STATS_STATE: Final = value_of(
    Numbers(
        Struct(
            "count" / count_of("entries", STAT_LIMIT) * "of entries",
            "reserved" / Reserved(Int32ul),
            "entries"
            / Items(
                this.count,
                Struct(
                    "value" / Int64ul,
                    "name" / text(255),
                    "reserved_pad" / ZeroPad(8, REPLY_HEAD_SIZE),
                ),
            )
            * "in ascending order of their names",
        )
    )
)
EVENT_BODY: Final = Struct(
    "count" / count_of("events", EVENT_LIMIT) * "of events",
    "reserved" / Reserved(Int32ul),
    "events" / Items(this.count, events.RECORD),
)
ERROR_BODY: Final = Struct(
    "field" / text(255) * "the offending field, dotted, with indices; may be empty",
    "text" / text(4096, "utf-8") * "a sentence that says what to do",
)
