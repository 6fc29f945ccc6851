"""The RSP codec: the same packets whatever the pieces, and nothing but packets whatever the bytes."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vgicd.gdbstub.packets import LIMIT, Ack, Break, Damaged, Decoder, Item, Nak, Packet, encode, escape, unescape

HOSTILE = b"$#}*+-%\x03\x00az09"
ROUNDS = 200_000


def cut(data: bytes, cuts: list[int]) -> list[bytes]:
    places = [0, *sorted(at % (len(data) + 1) for at in cuts), len(data)]
    return [data[a:b] for a, b in itertools.pairwise(places)]


def decode(pieces: list[bytes], limit: int = LIMIT) -> list[Item]:
    decoder = Decoder(limit)
    return [item for piece in pieces for item in decoder.feed(piece)]


@given(st.binary())
def test_what_is_escaped_is_unescaped(payload: bytes) -> None:
    assert unescape(escape(payload)) == payload
    assert not set(escape(payload)) & set(b"$#*")


@given(st.lists(st.binary(max_size=40), max_size=5), st.lists(st.integers(0, 1 << 12), max_size=6))
def test_packets_arrive_whole_however_they_are_cut(payloads: list[bytes], cuts: list[int]) -> None:
    data = b"".join(map(encode, payloads))
    assert decode(cut(data, cuts)) == [Packet(payload) for payload in payloads]


@given(st.text(alphabet=[chr(b) for b in HOSTILE], max_size=60), st.lists(st.integers(0, 99), max_size=5))
def test_hostile_bytes_mean_the_same_however_they_are_cut(text: str, cuts: list[int]) -> None:
    data = text.encode("latin-1")
    assert decode(cut(data, cuts), limit=16) == decode([data], limit=16)


def test_marks_between_packets_are_told_in_order() -> None:
    assert decode([b"+\x03$g#67-junk$?#3f"]) == [Ack(), Break(), Packet(b"g"), Nak(), Packet(b"?")]


def test_the_interrupt_byte_inside_a_packet_is_data() -> None:
    assert decode([encode(b"X0,1:\x03")]) == [Packet(b"X0,1:\x03")]


def test_a_dollar_inside_a_packet_begins_anew() -> None:
    assert decode([b"$m8000$g#67"]) == [Packet(b"g")]


@pytest.mark.parametrize("wrong", [b"$g#68", b"$g#xy", b"$g#+7"])
def test_a_wrong_checksum_damages_its_packet_only(wrong: bytes) -> None:
    damaged, whole = decode([wrong + b"$?#3f"])
    assert isinstance(damaged, Damaged)
    assert "checksum" in damaged.reason
    assert whole == Packet(b"?")


def test_a_trusting_decoder_does_not_compare_checksums() -> None:
    decoder = Decoder()
    decoder.trusting = True
    assert decoder.feed(b"$g#00") == [Packet(b"g")]


@pytest.mark.parametrize("size", [17, 40, 5000])
def test_a_packet_over_the_limit_is_refused_and_not_kept(size: int) -> None:
    decoder = Decoder(limit=16)
    items: list[Item] = []
    for byte in encode(b"x" * size):
        items += decoder.feed(bytes((byte,)))
        assert len(decoder._buffer) <= 20
    assert items == [Damaged("A packet has at most 16 bytes.")]
    assert decoder.feed(b"$g#67") == [Packet(b"g")]


def test_a_packet_that_has_begun_is_partial() -> None:
    decoder = Decoder()
    assert not decoder.partial
    decoder.feed(b"$g#6")
    assert decoder.partial
    decoder.feed(b"7")
    assert not decoder.partial


def test_two_hundred_thousand_hostile_strings_leave_the_decoder_as_it_should_be() -> None:
    """Random bytes, mutilated packets and everything between: no exception, bounded memory, and recovery."""
    rng = random.Random(20_26)
    decoder = Decoder(limit=256)
    for round_ in range(ROUNDS):
        match round_ % 4:
            case 0:
                data = rng.randbytes(rng.randrange(40))
            case 1:
                data = bytes(rng.choice(HOSTILE) for _ in range(rng.randrange(30)))
            case 2:
                data = bytearray(encode(rng.randbytes(rng.randrange(20))))
                data[rng.randrange(len(data))] = rng.randrange(256)
            case _:
                data = encode(rng.randbytes(rng.randrange(20)))[: rng.randrange(8)]
        for item in decoder.feed(bytes(data)):
            assert isinstance(item, Packet | Damaged | Ack | Nak | Break)
        assert len(decoder._buffer) <= 256 + 64
        if round_ % 1000 == 0:
            assert Packet(b"qSupported") in decoder.feed(b"#00" + encode(b"qSupported"))
