"""State images: whatever is wrong with one is found before any of it is believed, and named."""

from __future__ import annotations

import random
import struct
import zlib

import pytest

from vgicd_protocol import messages
from vgicd_protocol.errors import Status, WireError
from vgicd_protocol.frames import Opcode
from vgicd_protocol.image import Geometry, StateImage

IMAGE = StateImage(
    Geometry(2, 64, 4, "correct", "virt"),
    {"gicd.ctlr": (1,), "gicd.enable": (0xFFFF, 2**64 - 1, 0), "empty": (), "vcpu1.lrs": tuple(range(4))},
)
ENVELOPE = struct.Struct("<IHHII")
START = 4  # of the envelope in RESTORE's body


def body_of(image: StateImage) -> bytes:
    return messages.build_request(Opcode.RESTORE, {"image": image})


def sealed(payload: bytes) -> bytes:
    """A RESTORE body whose CRC is right, whatever `payload` holds."""
    return bytes(START) + ENVELOPE.pack(0x6D496776, 1, 0, len(payload), zlib.crc32(payload)) + payload


def payload_of(image: StateImage) -> bytes:
    return body_of(image)[START + ENVELOPE.size :]


def fault_of(body: bytes) -> tuple[str, str]:
    with pytest.raises(WireError) as caught:
        messages.parse_request(Opcode.RESTORE, body)
    assert caught.value.code is Status.BAD_IMAGE
    return caught.value.field, caught.value.text


def test_an_image_survives_the_wire_and_is_canonical() -> None:
    body = body_of(IMAGE)
    assert messages.parse_request(Opcode.RESTORE, body) == {"image": IMAGE}
    shuffled = StateImage(IMAGE.geometry, dict(sorted(IMAGE.words.items(), reverse=True)))
    assert body_of(shuffled) == body
    assert messages.build_reply(Opcode.SNAPSHOT, {"image": IMAGE}) == body[START:]


def test_every_flipped_bit_is_found() -> None:
    body = body_of(IMAGE)
    for bit in range(8 * len(body)):
        damaged = bytearray(body)
        damaged[bit // 8] ^= 1 << bit % 8
        fault_of(bytes(damaged))


def test_every_truncation_is_found() -> None:
    body = body_of(IMAGE)
    for length in range(len(body)):
        fault_of(body[:length])


def test_damage_is_named() -> None:
    body = body_of(IMAGE)

    def patched(at: int, value: bytes) -> bytes:
        return body[: START + at] + value + body[START + at + len(value) :]

    assert fault_of(patched(0, b"nope"))[0] == "image.magic"
    assert fault_of(patched(4, b"\x02\0"))[0] == "image.version"
    assert fault_of(patched(6, b"\x01\0"))[0] == "image.reserved"
    assert fault_of(patched(8, b"\xff\xff\xff\xff"))[0] == "image.size"
    assert fault_of(patched(12, bytes(4)))[0] == "image.crc32"
    assert "0x" in fault_of(patched(12, bytes(4)))[1]
    assert fault_of(body + b"\0") == ("", "the body has bytes left over behind its last field")


def test_a_well_sealed_image_with_a_wrong_inside_is_refused() -> None:
    payload = payload_of(IMAGE)
    assert fault_of(sealed(payload + bytes(8)))[1] == "the body has bytes left over behind its last field"
    assert fault_of(sealed(payload[:-8]))[0] == "image.entries[3].words"
    huge = payload.replace(struct.pack("<II", 1, 9), struct.pack("<II", 2**32 - 1, 9))
    assert huge != payload
    assert fault_of(sealed(huge))[0] == "image.entries[1].count"


def test_names_must_ascend() -> None:
    """So that no name comes twice and equal states have equal images."""
    one = StateImage(IMAGE.geometry, {"aa": (1,), "ab": (2,)})
    field, text = fault_of(sealed(payload_of(one).replace(b"ab", b"aa")))
    assert field == "image.entries"
    assert "'aa' after 'aa'" in text
    assert fault_of(sealed(payload_of(one).replace(b"aa", b"ac")))[0] == "image.entries"


def test_a_large_image_is_quick_enough_not_to_hold_up_the_daemon() -> None:
    """960 SPIs and 8 vCPUs are some ten thousand words; the arrays are not parsed one by one."""
    rng = random.Random(1)
    large = StateImage(
        IMAGE.geometry, {f"column.{n:03}": tuple(rng.getrandbits(64) for _ in range(1000)) for n in range(100)}
    )
    assert messages.parse_request(Opcode.RESTORE, body_of(large)) == {"image": large}


def test_words_wider_than_64_bits_are_refused_when_building() -> None:
    with pytest.raises(WireError) as caught:
        body_of(StateImage(IMAGE.geometry, {"x": (2**64,)}))
    assert caught.value.field == "image.entries[0].words"
