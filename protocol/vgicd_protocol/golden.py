"""The golden vectors: frames and what they say, for implementations in any language.

    python -m vgicd_protocol.golden protocol/vectors

writes a file for each message that has none yet, and refuses to change one that exists: released vectors never change.
A file is a JSON list of vectors `{"about", "frame", "head", "fields"}`: the whole frame in hex (all of them, one after
the other, when the message is split), the head (of the first) and the body, decoded.  Bytes are in hex, integers
from 2^53 on are hex strings with 0x.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from vgicd_protocol import effects, events, framing, image, messages, session, vector
from vgicd_protocol.errors import FramingFault, Status, WireError
from vgicd_protocol.frames import EFFECTS, HEAD_CODEC, NO_VCPU, REPLY_BIT, REPLY_HEAD_CODEC, Opcode, Role, Space

Vector = dict[str, Any]

_SAFE: Final = 1 << 53  # beyond it JSON numbers lose bits in many languages

_IMAGE: Final = image.StateImage(
    image.Geometry(2, 64, 4, "correct", "virt"),
    {"distributor.enabled": (1,), "spi.priority": (0xA0, 0xF8, 2**64 - 1), "vcpu0.ap_list": ()},
)
_WELCOME: Final = session.Welcome(
    role=Role.CONTROL,
    geometry=_IMAGE.geometry,
    windows=(session.Window("GICD", 0x0800_0000, 0x1000), session.Window("GICC", 0x0801_0000, 0x2000)),
    domain="demo",
    server="vgicd 0.1.0",
)
_EFFECTS: Final = (effects.Effect(effects.EffectKind.KICK, 1), effects.Effect(effects.EffectKind.AFFINITY, 0, 100, 1))
_ENTRIES: Final = [
    {"value": 0x100, "offset": 0x104, "vcpu": 0, "operation": 0x40 | vector.WRITE, "space": Space.GICD},
    {"value": 1, "offset": 40, "vcpu": NO_VCPU, "operation": vector.LINE, "space": 0},
    {"value": 0, "offset": 0x00C, "vcpu": 1, "operation": 0x40 | vector.READ, "space": Space.GICC},
]
_RESULTS: Final = [
    {"value": 0, "status": 0, "outputs": 0},
    {"value": 0, "status": 0, "outputs": 4},
    {"value": 40, "status": 0, "outputs": 0},
]
_IRQ: Final = {
    "intid": 40,
    "vcpu": NO_VCPU,
    "enabled": True,
    "is_level": True,
    "line_level": True,
    "pending_latch": False,
    "pending": True,
    "active": False,
    "group": 0,
    "priority": 0xA0,
    "targets": 1,
    "source": 0,
    "active_source": 0,
    "hw": False,
    "target": 0,
    "listed": 0,
    "position": 0,
    "lr": -1,
    "hwintid": 0,
    "lr_value": 0,
}
_LRS: Final = (0x5000_0028, 0, 0, 0)
_LR_STATE: Final = {"inside": True, "used": 1, "hcr": 1, "vtr": 0x9000_0003, "vmcr": 0xF800_0001} | {
    "misr": 0,
    "eisr": 0,
    "elrsr": 0xE,
    "apr": 0,
    "lrs": _LRS,
}
_CONFIG: Final = {"vcpus": 4, "spis": 64, "variant": "xen", "xen_without": ("D2", "D5"), "lazy": False}

# opcode -> the requests and the replies of its vectors
_BODIES: Final[dict[Opcode, tuple[list[dict[str, Any]], list[dict[str, Any]]]]] = {
    Opcode.HELLO: ([session.Hello(Role.GUEST, client="demo").fields()], [_WELCOME.fields()]),
    Opcode.PING: ([{}], [{}]),
    Opcode.BYE: ([{}], [{}]),
    Opcode.READ: (
        [
            {"vcpu": 0, "size": 4, "space": Space.GICD, "address": 0x004, "value": 0},
            {"vcpu": 1, "size": 4, "space": 0x12, "address": 0x00C, "value": 0},
            {"vcpu": 0, "size": 1, "space": 0, "address": 0x0800_0428, "value": 0},
        ],
        [{"value": 0x22}],
    ),
    Opcode.WRITE: (
        [
            {"vcpu": 0, "size": 4, "space": Space.GICD, "address": 0x104, "value": 0x100},
            {"vcpu": 7, "size": 8, "space": 0x24, "address": 0x008, "value": 2**64 - 1},
        ],
        [{"value": 0}],
    ),
    Opcode.LINE: (
        [
            {"vcpu": NO_VCPU, "size": 0, "space": 0, "address": 40, "value": 1},
            {"vcpu": 2, "size": 0, "space": 1, "address": 27, "value": 1},
        ],
        [{"value": 0}],
    ),
    Opcode.VECTOR: ([{"entries": _ENTRIES}], [{"results": _RESULTS}]),
    Opcode.ENTER: ([{"vcpu": 1}], [{"hcr": 1, "misr": 0, "used": 1, "lrs": _LRS}]),
    Opcode.EXIT: (
        [{"vcpu": 1}],
        [{"eisr": 0, "elrsr": 0xE, "misr": 0, "apr": 0x10_0000, "hcr": 0, "lrs": _LRS}],
    ),
    Opcode.MODE: ([{"explicit": True}, {"explicit": False}], [{}]),
    Opcode.LR_GET: ([{"vcpu": 0}], [_LR_STATE]),
    Opcode.LR_SET: ([{"vcpu": 0, "index": 3, "value": 0x5000_0028}], [{}]),
    Opcode.GICH: ([{"vcpu": 0, "offset": 0x008, "value": 0xF800_0001}], [{}]),
    Opcode.IRQ_INFO: ([{"intid": 40, "vcpu": NO_VCPU}, {"intid": 27, "vcpu": 1}], [_IRQ]),
    Opcode.DUMP: ([{"kind": 0}, {"kind": 1}], [{"value": "Distributor\n===========\n"}]),
    Opcode.STATS: ([{}], [{"value": {"faults.raz": 2, "operations": 2**60}}]),
    Opcode.PENDING_CHECK: ([{"vcpu": 1, "kind": 0}, {"vcpu": 0, "kind": 1}], [{"value": True}]),
    Opcode.VIRQ_ALLOC: ([{"spi": True}], [{"value": 33}, {"value": -1}]),
    Opcode.VIRQ_RESERVE: ([{"virq": 40}], [{"value": False}]),
    Opcode.VIRQ_FREE: ([{"virq": 40}], [{}]),
    Opcode.HW_CONNECT: ([{"virq": 40, "pirq": 100}], [{"value": 0}, {"value": -16}]),
    Opcode.HW_DISCONNECT: ([{"virq": 40, "pirq": 100}, {"virq": 40, "pirq": None}], [{"value": -22}]),
    Opcode.HW_DESC: ([{"virq": 40}], [{"value": 100}, {"value": None}]),
    Opcode.PHYS_LINE: ([{"pirq": 100, "level": 1}], [{}]),
    Opcode.HW_IRQ: ([{"pirq": 100, "virq": 40}], [{}]),
    Opcode.VCPU_MOVE: ([{"vcpu": 1, "pcpu": 3}], [{}]),
    Opcode.VCPU_POWER: ([{"vcpu": 1, "on": False}], [{}]),
    Opcode.SET_IRQ_LEVEL: ([{"intid": 40, "level": 1, "padding": 0}], [{"value": -22}]),
    Opcode.EVENT_CHANNEL: ([{"vcpu": 0, "flag": True}], [{}]),
    Opcode.CONSOLE: ([{"data": b"ls\n"}, {"data": b""}], [{"accepted": 3, "data": b"# ls"}]),
    Opcode.TIME: ([{"now": 2**40 + 5}], [{}]),
    Opcode.WAIT: ([{"outputs": 0x5, "milliseconds": 250}], [{}]),
    Opcode.SUBSCRIBE: ([{"mask": 0x3}], [{}]),
    Opcode.SNAPSHOT: ([{}], [{"image": _IMAGE}]),
    Opcode.RESTORE: ([{"image": _IMAGE}], [{}]),
    Opcode.RESET: ([{"config": None}, {"config": _CONFIG}], [{"value": 0}, {"value": -22}]),
}


def plain(value: Any) -> Any:
    """`value` as JSON can hold it without loss."""
    match value:
        case image.StateImage():
            return plain(asdict(value))
        case dict():
            return {name: plain(item) for name, item in value.items()}
        case list() | tuple():
            return [plain(item) for item in value]
        case bytes():
            return value.hex()
        case bool() | str() | None:
            return value
    return hex(value) if value >= _SAFE else int(value)


def _request(opcode: int, about: str, fields: dict[str, Any], flags: int = 0) -> Vector:
    frame = framing.request(opcode, 7, messages.build_request(opcode, fields), flags)
    head = dict(zip(HEAD_CODEC.names, HEAD_CODEC.unpack_from(frame), strict=True))
    return {"about": about, "frame": frame.hex(), "head": plain(head), "fields": plain(fields)}


def _answer(about: str, frame: bytes, fields: dict[str, Any]) -> Vector:
    head = dict(zip(REPLY_HEAD_CODEC.names, REPLY_HEAD_CODEC.unpack_from(frame), strict=True))
    return {"about": about, "frame": frame.hex(), "head": plain(head), "fields": plain(fields)}


def _of(opcode: Opcode) -> Iterator[Vector]:
    requests, replies = _BODIES[opcode]
    for fields in requests:
        yield _request(opcode, "request", fields)
    for fields in replies:
        frame = framing.reply(opcode, 7, 0x6, 2**40 + 1, messages.build_reply(opcode, fields))
        yield _answer("reply", frame, fields)
    if messages.MESSAGES[opcode].effects:
        yield _request(opcode, "request with EFFECTS", requests[0], EFFECTS)
        body = effects.append_trailer(messages.build_reply(opcode, replies[0]), _EFFECTS)
        trailer = {"effects": [effect._asdict() for effect in _EFFECTS]}
        yield _answer("reply with EFFECTS", framing.reply(opcode, 7, 0, 9, body), replies[0] | trailer)
    refusal = WireError(Status.DENIED, "role", "needs role control")
    hot = opcode in framing.HOT_OPCODES
    fields = {} if hot else {"field": refusal.field, "text": refusal.text}
    yield _answer("refusal", framing.error_reply(opcode, 7, 0, 9, refusal), fields)


def _split() -> Iterator[Vector]:
    """Messages in several frames, which may be cut anywhere."""
    fields: dict[str, Any] = {"image": _IMAGE}
    upload = framing.request(Opcode.RESTORE, 7, messages.build_request(Opcode.RESTORE, fields), EFFECTS, limit=77)
    head = dict(zip(HEAD_CODEC.names, HEAD_CODEC.unpack_from(upload), strict=True))
    yield {"about": "upload in frames", "frame": upload.hex(), "head": plain(head), "fields": plain(fields)}
    fields = {"value": "Distributor\n===========\n"}
    body = messages.build_reply(Opcode.DUMP, fields)
    yield _answer("reply in frames", framing.reply(Opcode.DUMP, 7, 0, 9, body, limit=35), fields)


def _from_server() -> dict[str, list[Vector]]:
    records = [
        events.Event(7, events.EventKind.LINE, 0, 40, 0, 1),
        events.Event(9, events.GAP, value=12),
        events.Event(10, events.EventKind.OUTPUT, value=1),
    ]
    event = framing.event_frames(7, 1, 10, records)
    fault = FramingFault(Status.FRAME_LENGTH, "a frame of 5 bytes: send 12 to 65536", 3)
    return {
        "EVENT": [_answer("events", event, {"events": [record._asdict() for record in records]})],
        "ERROR": [_answer("framing fault", framing.error_frame(fault), {"field": "", "text": fault.text})],
    }


def vectors() -> dict[str, list[Vector]]:
    """All vectors by message name."""
    return {opcode.name: list(_of(opcode)) for opcode in _BODIES} | _from_server() | {"SPLIT": list(_split())}


def decode(vector: Vector) -> dict[str, Any]:
    """The fields of a vector's body, parsed from its frame."""
    frame = bytes.fromhex(vector["frame"])
    frames = list(framing.FrameReader().feed(frame))
    if not frames[0].opcode & REPLY_BIT:
        uploads = framing.UploadJoiner()
        *_, whole = (uploads.add(part) for part in frames)
        return messages.parse_request(whole.opcode, whole.body) if whole else {}
    replies = framing.ReplyJoiner()
    *_, reply = (replies.add(framing.reply_of(part)) for part in frames)
    if reply is None:
        return {}
    if reply.opcode == Opcode.EVENT:
        return {"events": [event._asdict() for event in messages.parse_events(reply.body)]}
    if reply.status not in (Status.OK, Status.ABORT):
        if reply.opcode in framing.HOT_OPCODES:
            return {}
        field, text = messages.parse_error(reply.body)
        return {"field": field, "text": text}
    fields = messages.parse_reply(reply.opcode, reply.body, "effects" in vector["fields"])
    if "effects" in fields:
        fields["effects"] = [effect._asdict() for effect in fields["effects"]]
    return fields


def main(arguments: list[str]) -> int:
    """The command line: the directory of the vectors. Answers 1 if a released one would have to change."""
    (folder,) = map(Path, arguments)
    changed = []
    for name, items in vectors().items():
        path = folder / f"{name.lower()}.json"
        text = json.dumps(items, indent=1) + "\n"
        if not path.exists():
            path.write_text(text)
        elif path.read_text() != text:
            changed.append(path.name)
    for changed_name in changed:
        sys.stderr.write(f"{changed_name} is released and differs: a new layout needs a new version\n")
    return int(bool(changed))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
