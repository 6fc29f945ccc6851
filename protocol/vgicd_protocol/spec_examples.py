"""The worked examples of SPEC.md: real frames, taken apart field by field."""

from __future__ import annotations

from collections.abc import Iterator

from vgicd_protocol import effects, events, framing, image, messages, session, vector
from vgicd_protocol.codec import Codec
from vgicd_protocol.errors import Status, WireError
from vgicd_protocol.frames import EFFECTS, HEAD_CODEC, HOT_CODEC, HOT_REPLY_CODEC, REPLY_HEAD_CODEC, Opcode, Role, Space


def _fields(codec: Codec, data: bytes) -> Iterator[str]:
    """A line per field: its bytes, its name, its value."""
    at = 0
    for name, code, value in zip(codec.names, codec.format[1:], codec.unpack_from(data), strict=True):
        width = {"B": 1, "H": 2, "I": 4, "Q": 8}[code]
        yield f"{at:4}  {data[at : at + width].hex(' '):<24}  {name} = {value:#x}"
        at += width


def _rest(data: bytes, at: int) -> Iterator[str]:
    """The bytes from `at` on, 16 a line, with their text."""
    for start in range(at, len(data), 16):
        line = data[start : start + 16]
        text = "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in line)
        yield f"{start:4}  {line.hex(' '):<48}  {text}"


def _example(title: str, codec: Codec, data: bytes) -> str:
    lines = [*_fields(codec, data), *_rest(data, codec.size)]
    return f"{title}:\n\n```text\n" + "\n".join(line.rstrip() for line in lines) + "\n```\n"


def examples() -> str:
    """All of them, as Markdown."""
    hello = messages.build_request(Opcode.HELLO, session.Hello(Role.GUEST, client="demo").fields())
    welcome = session.Welcome(
        role=Role.GUEST,
        geometry=image.Geometry(2, 64, 4, "correct", "virt"),
        windows=(session.Window("GICD", 0x0800_0000, 0x1000), session.Window("GICC", 0x0801_0000, 0x2000)),
        domain="demo",
        server="vgicd 0.1.0",
    )
    welcome_body = messages.build_reply(Opcode.HELLO, welcome.fields())
    write = framing.hot_request(Opcode.WRITE, 3, 0, 4, Space.GICD, 0x100, 0x8000000, EFFECTS)
    trailer = framing.reply_body(Opcode.WRITE, 0, [effects.Effect(effects.EffectKind.KICK, 0)])
    entries = [
        {"value": 0x100, "offset": 0x104, "vcpu": 0, "operation": 4 << 4 | vector.WRITE, "space": Space.GICD},
        {"value": 1, "offset": 40, "vcpu": 0xFFFF, "operation": vector.LINE, "space": 0},
    ]
    results = [{"value": 0, "status": 0, "outputs": 0}, {"value": 0, "status": 0, "outputs": 1}]
    records = [events.Event(7, events.EventKind.LINE, 0, 40, 0, 1), events.Event(7, events.EventKind.OUTPUT, value=1)]
    refusal = WireError(Status.BAD_VCPU, "vcpu", "there are 2 vCPUs: use 0 or 1")
    vector_body = messages.build_request(Opcode.VECTOR, {"entries": entries})
    results_body = messages.build_reply(Opcode.VECTOR, {"results": results})
    parts = [
        _example('HELLO, request 1, role guest, client "demo"', HEAD_CODEC, framing.request(Opcode.HELLO, 1, hello)),
        _example("Its WELCOME", REPLY_HEAD_CODEC, framing.reply(Opcode.HELLO, 1, 0, 0, welcome_body)),
        _example(
            "READ of GICD_TYPER (offset 4, 4 bytes) by vCPU 0, request 2",
            HOT_CODEC,
            framing.hot_request(Opcode.READ, 2, 0, 4, Space.GICD, 0x004),
        ),
        _example(
            "Its reply: operation 1, all outputs low, TYPER 0x22",
            HOT_REPLY_CODEC,
            framing.reply(Opcode.READ, 2, 0, 1, framing.reply_body(Opcode.READ, 0x22)),
        ),
        _example("WRITE of GICD_ISENABLER0 (enable PPI 27) by vCPU 0, with EFFECTS, request 3", HOT_CODEC, write),
        _example(
            "Its reply, if vCPU 0 was kicked for it: the 32 bytes, then a trailer of one record",
            HOT_REPLY_CODEC,
            framing.reply(Opcode.WRITE, 3, 0, 2, trailer),
        ),
        _example(
            "LINE, SPI 40 rises, request 4",
            HOT_CODEC,
            framing.hot_request(Opcode.LINE, 4, 0xFFFF, 0, 0, 40, 1),
        ),
        _example(
            "SUBSCRIBE to LINE and OUTPUT (mask 3), request 5",
            HEAD_CODEC,
            framing.request(Opcode.SUBSCRIBE, 5, messages.build_request(Opcode.SUBSCRIBE, {"mask": 3})),
        ),
        _example(
            "VECTOR of two entries (write GICD_ISENABLER1, raise SPI 40), request 6",
            HEAD_CODEC,
            framing.request(Opcode.VECTOR, 6, vector_body),
        ),
        _example(
            "Its reply: operations 6 and 7, vIRQ of vCPU 0 high after the second",
            REPLY_HEAD_CODEC,
            framing.reply(Opcode.VECTOR, 6, 1, 7, results_body),
        ),
        _example("The EVENT behind it", REPLY_HEAD_CODEC, framing.event_frames(5, 1, 7, records)),
        _example(
            "A refused ENTER, request 8",
            REPLY_HEAD_CODEC,
            framing.error_reply(Opcode.ENTER, 8, 1, 7, refusal),
        ),
        _example(
            "A refused READ of a vCPU that does not exist, request 9: the code alone",
            HOT_REPLY_CODEC,
            framing.error_reply(Opcode.READ, 9, 1, 7, refusal),
        ),
    ]
    return "\n".join(parts)
