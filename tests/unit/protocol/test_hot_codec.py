"""The hot path and the declarations decide alike, on frames that are valid, nearly valid and random."""

from __future__ import annotations

import random
import struct

import pytest
from construct import BytesInteger, Check, Const, Int8ul, Int16ub, Int16ul, Int32ul, Int64ul, Mapping, Padding, Struct

from vgicd_protocol import frames, messages, vector
from vgicd_protocol.codec import Codec, NotFlatError
from vgicd_protocol.errors import Status, WireError
from vgicd_protocol.frames import HOT, HOT_CODEC, HOT_REPLY, HOT_REPLY_CODEC, HOT_SIZE, Opcode
from vgicd_protocol.strict import OneOf

HOT_OPCODES = (Opcode.READ, Opcode.WRITE, Opcode.LINE)
EDGES = (0, 1, 2, 3, 4, 5, 7, 8, 9, 0x10, 0x12, 0x14, 0x15, 0x1F, 0x20, 0x24, 0x30, 0x7F, 0x80, 0xFF)
OFFSETS = {"length": (0, 4), "version": (4, 1), "opcode": (5, 1), "status": (6, 2), "request_id": (8, 4)} | {
    "vcpu": (12, 2),
    "size": (14, 1),
    "space": (15, 1),
    "address": (16, 8),
    "value": (24, 8),
}


def valid_frame(rng: random.Random) -> bytearray:
    opcode = rng.choice(HOT_OPCODES)
    line = opcode == Opcode.LINE
    return bytearray(
        HOT_CODEC.pack(
            HOT_SIZE,
            frames.VERSION,
            opcode,
            rng.choice((0, frames.EFFECTS)),
            rng.getrandbits(32),
            rng.choice((*range(9), 0xFFFF)),
            0 if line else rng.choice(frames.SIZES),
            rng.randrange(2) if line else rng.choice(frames.SPACES),
            rng.choice((rng.getrandbits(12), rng.getrandbits(32), rng.getrandbits(64))),
            rng.randrange(2) if line else 0 if opcode == Opcode.READ else rng.getrandbits(64),
        )
    )


def near_valid_frame(rng: random.Random) -> bytes:
    """A valid frame (one in four), or one with flipped bits, a boundary value, a field swapped, or pure noise."""
    frame = valid_frame(rng)
    match rng.randrange(8):
        case 0 | 1:
            pass
        case 2 | 3:
            for _ in range(rng.choice((1, 1, 2, 3))):
                frame[rng.randrange(HOT_SIZE)] ^= 1 << rng.randrange(8)
        case 4 | 5:
            start, width = OFFSETS[rng.choice(list(OFFSETS))]
            value = rng.choice((*EDGES, (1 << 8 * width) - 1, 1 << 8 * width - 1)) & (1 << 8 * width) - 1
            frame[start : start + width] = value.to_bytes(width, "little")
        case 6:
            frame[5] = rng.choice(HOT_OPCODES)
        case _:
            frame = bytearray(rng.randbytes(HOT_SIZE))
            if rng.random() < 0.5:
                frame[:8] = HOT_CODEC.pack(HOT_SIZE, 1, rng.choice(HOT_OPCODES), 0, 0, 0, 0, 0, 0, 0)[:8]
    return bytes(frame)


def fast(frame: bytes) -> int | dict[str, int]:
    """What the hot path makes of a frame: its fields, or the status that refuses it."""
    fields = HOT_CODEC.unpack_from(frame)
    length, version, opcode, status, _, _, size, space, _, value = fields
    if opcode not in HOT_OPCODES:
        return Status.UNSUPPORTED
    if length != HOT_SIZE:
        return Status.BAD_BODY
    return frames.hot_fault(version, opcode, status, size, space, value) or dict(
        zip(HOT_CODEC.names, fields, strict=True)
    )


def slow(frame: bytes) -> int | dict[str, int]:
    """What the interpreted declarations make of it."""
    try:
        parsed = messages.parse_hot_frame(frame)
    except WireError as error:
        return error.code
    # the parsed body leaves reserved fields out only by name; a hot frame has none by such a name
    return parsed


def compare(count: int, seed: int) -> None:
    rng = random.Random(seed)
    accepted, codes = 0, set()
    for _ in range(count):
        frame = near_valid_frame(rng)
        quick, thorough = fast(frame), slow(frame)
        assert quick == thorough, frame.hex()
        if isinstance(quick, dict):
            accepted += 1
        else:
            codes.add(quick)
    assert count // 4 < accepted < count * 3 // 4, "both decisions must be well covered"
    assert codes == {
        Status.UNSUPPORTED,
        Status.BAD_BODY,
        Status.VERSION,
        Status.RESERVED_BITS,
        Status.BAD_SIZE,
        Status.BAD_VALUE,
    }


def test_the_hot_path_equals_the_declarations_on_20_000_frames() -> None:
    compare(20_000, seed=1)


@pytest.mark.long
def test_the_hot_path_equals_the_declarations_on_200_000_frames() -> None:
    compare(200_000, seed=2)


def test_every_value_of_every_checked_byte_is_decided_alike() -> None:
    for opcode in HOT_OPCODES:
        size = 0 if opcode == Opcode.LINE else 4
        base = HOT_CODEC.pack(HOT_SIZE, 1, opcode, 0, 7, 0, size, 0, 0x100, 0)
        for at in (4, 6, 7, 14, 15, 24, 25, 31):
            for byte in range(256):
                frame = base[:at] + bytes([byte]) + base[at + 1 :]
                assert fast(frame) == slow(frame), frame.hex()


@pytest.mark.parametrize("declaration", [frames.HEAD, HOT, frames.REPLY_HEAD, HOT_REPLY, vector.ENTRY, vector.RESULT])
def test_codec_and_declaration_build_and_parse_the_same_bytes(declaration: Struct) -> None:
    codec, rng = Codec(declaration), random.Random(3)
    widths = [struct.calcsize("<" + code) for code in codec.format[1:]]
    for _ in range(300):
        numbers = [rng.choice((0, (1 << 8 * width) - 1, rng.getrandbits(8 * width))) for width in widths]
        values = dict(zip(codec.names, numbers, strict=True))
        values |= {"operation": 0x41} if "operation" in values else {}
        values |= {"reserved": 0} if "reserved" in values else {}
        data = codec.pack(*values.values())
        assert data == declaration.build(values)
        parsed = declaration.parse(data)
        assert {name: parsed[name] for name in codec.names} == codec.fields(data) == values


def test_hot_reply_mirrors_the_request_field_for_field() -> None:
    """The reply's outputs lie where the request's vcpu was, order where address was, value where value was."""
    assert [(n, s) for n, s in zip(HOT_REPLY_CODEC.names, HOT_REPLY_CODEC.format[1:], strict=True)][5:] == [
        ("outputs", "H"),
        ("flags", "H"),
        ("order", "Q"),
        ("value", "Q"),
    ]
    assert HOT_REPLY_CODEC.pack(32, 1, 0x90, 0, 7, 0x1234, 0, 5, 6) == HOT_CODEC.pack(
        32, 1, 0x90, 0, 7, 0x1234, 0, 0, 5, 6
    )


@pytest.mark.parametrize(
    ("field", "why"),
    [
        ("x" / Padding(4), "bytes"),
        (Int32ul, "no name"),
        (Padding(4), "no name"),
        (Check(lambda _: True), "no name"),
        ("x" / Int16ub, "big-endian"),
        ("x" / BytesInteger(3), "three bytes"),
        ("x" / Mapping(Int8ul, {"a": 1}), "changes the value"),
        ("x" / Int8ul[2], "an array"),
        ("x" / Struct("y" / Int8ul), "nested"),
    ],
)
def test_a_declaration_that_is_not_flat_has_no_codec(field: object, why: str) -> None:
    with pytest.raises(NotFlatError):
        Codec(Struct("before" / Int8ul, field))


def test_a_repeated_field_name_has_no_codec() -> None:
    with pytest.raises(NotFlatError, match="unique"):
        Codec(Struct("x" / Int8ul, "x" / Int8ul))


def test_checks_that_keep_the_value_are_seen_through() -> None:
    codec = Codec(Struct("a" / Const(7, Int16ul), "b" / OneOf(Int8ul, (1,)) * "documented", "c" / Int64ul))
    assert (codec.format, codec.names) == ("<HBQ", ("a", "b", "c"))


def entry_of(rng: random.Random) -> bytes:
    operation = rng.choice((*vector.OPERATIONS, rng.randrange(256)))
    space = rng.choice((0, 1, rng.choice(frames.SPACES), rng.randrange(256)))
    value = rng.choice((0, 0, 1, 2, rng.getrandbits(64)))
    return vector.ENTRY_CODEC.pack(value, rng.getrandbits(32), rng.getrandbits(16), operation, space)


def test_vector_entries_are_decided_as_their_declaration_does() -> None:
    rng, seen = random.Random(4), set()
    for _ in range(20_000):
        data = entry_of(rng)
        value, _, _, operation, space = vector.ENTRY_CODEC.unpack_from(data)
        try:
            declared = messages.parse_request(Opcode.VECTOR, b"\1\0\0\0" + data)["entries"][0]
        except WireError as error:
            declared = error.code
        code = vector.entry_fault(value, operation, space)
        assert declared == (code or vector.ENTRY_CODEC.fields(data)), data.hex()
        seen.add(int(code))
    assert seen == {Status.OK, Status.BAD_SIZE, Status.BAD_VALUE, Status.RESERVED_BITS}


def test_a_vector_entry_is_refused_exactly_when_its_own_frame_is() -> None:
    """Opcode, width, space and value mean the same in a VECTOR as on their own."""
    rng = random.Random(5)
    for _ in range(5_000):
        value, offset, vcpu, operation, space = vector.ENTRY_CODEC.unpack_from(entry_of(rng))
        opcode, size = 0x10 | operation & 0xF, operation >> 4
        if opcode in HOT_OPCODES:
            alone = fast(HOT_CODEC.pack(HOT_SIZE, 1, opcode, 0, 0, vcpu, size, space, offset, value))
            assert isinstance(alone, dict) == (not vector.entry_fault(value, operation, space))
