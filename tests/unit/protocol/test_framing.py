"""Framing: any cut of the byte stream gives the same frames, and what cannot be trusted ends it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vgicd_protocol import framing, messages
from vgicd_protocol.effects import Effect, EffectKind
from vgicd_protocol.errors import FramingFault, Status, WireError
from vgicd_protocol.events import Event, EventKind
from vgicd_protocol.frames import (
    FRAME_LIMIT,
    HEAD_CODEC,
    HEAD_SIZE,
    HOT_CODEC,
    HOT_SIZE,
    MORE,
    REPLY_HEAD_SIZE,
    Opcode,
    Space,
)
from vgicd_protocol.framing import Frame, FrameReader, ReplyJoiner, UploadJoiner, reply_of

FRAMES = st.lists(
    st.builds(
        Frame,
        opcode=st.integers(0, 255),
        status=st.integers(0, 65535),
        request_id=st.integers(0, 2**32 - 1),
        body=st.binary(max_size=60),
    ),
    max_size=8,
)


def encoded(frame: Frame) -> bytes:
    return HEAD_CODEC.pack(12 + len(frame.body), 1, frame.opcode, frame.status, frame.request_id) + frame.body


@given(FRAMES, st.data())
def test_any_cut_of_the_stream_gives_the_same_frames(expected: list[Frame], data: st.DataObject) -> None:
    stream = b"".join(map(encoded, expected))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    reader, got = FrameReader(), []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        got += reader.feed(stream[start:end])
    assert got == expected
    assert reader.pending == 0


@pytest.mark.parametrize("length", [0, 1, 11, FRAME_LIMIT + 1, 2**32 - 1])
def test_an_impossible_length_is_a_framing_fault_as_soon_as_it_is_read(length: int) -> None:
    reader = FrameReader()
    with pytest.raises(FramingFault) as caught:
        list(reader.feed(length.to_bytes(4, "little")))
    assert caught.value.code is Status.FRAME_LENGTH
    with pytest.raises(FramingFault):
        list(reader.feed(framing.request(Opcode.PING, 1)))


def test_the_shortest_and_the_longest_frame_are_legal() -> None:
    for length in (HEAD_SIZE, FRAME_LIMIT):
        frame = Frame(Opcode.PING, 0, 7, bytes(length - HEAD_SIZE))
        assert list(FrameReader().feed(encoded(frame))) == [frame]


def test_frames_before_a_fault_are_delivered_and_the_fault_names_its_request() -> None:
    bad = HEAD_CODEC.pack(5, 1, Opcode.PING, 0, 99)
    reader, got = FrameReader(), []
    with pytest.raises(FramingFault) as caught:
        got.extend(reader.feed(framing.request(Opcode.PING, 1) + bad))
    assert [frame.request_id for frame in got] == [1]
    assert caught.value.request_id == 99


def test_another_version_is_a_framing_fault() -> None:
    with pytest.raises(FramingFault) as caught:
        list(FrameReader().feed(HEAD_CODEC.pack(12, 2, Opcode.PING, 0, 3)))
    assert (caught.value.code, caught.value.request_id) == (Status.VERSION, 3)


def test_a_client_refuses_frames_shorter_than_a_reply() -> None:
    with pytest.raises(FramingFault):
        list(FrameReader(smallest=REPLY_HEAD_SIZE).feed(framing.request(Opcode.PING, 1)))


def test_what_is_no_reply_is_a_framing_fault_for_a_client() -> None:
    unknown_flags = b"\0\0\2" + bytes(9)
    for opcode, body in ((Opcode.PING, bytes(12)), (0x82, bytes(11)), (0x82, unknown_flags)):
        with pytest.raises(FramingFault):
            reply_of(Frame(opcode, 0, 1, body))


@given(st.binary(max_size=400), st.integers(25, 90))
def test_a_reply_split_over_frames_is_joined_again(body: bytes, limit: int) -> None:
    stream = framing.reply(Opcode.SNAPSHOT, 5, 0x3, 77, body, limit=limit)
    joiner = ReplyJoiner()
    replies = [reply_of(frame) for frame in FrameReader(limit, REPLY_HEAD_SIZE).feed(stream)]
    joined = [joiner.add(reply) for reply in replies]
    assert joined[:-1] == [None] * (len(joined) - 1)
    whole = joined[-1]
    assert whole is not None
    assert (whole.opcode, whole.status, whole.request_id) == (Opcode.SNAPSHOT, 0, 5)
    assert (whole.outputs, whole.more, whole.order, whole.body) == (0x3, False, 77, body)
    assert len(replies) == max(1, -(-len(body) // (limit - REPLY_HEAD_SIZE)))


def test_replies_mixed_into_one_another_are_refused() -> None:
    first, second = (
        reply_of(next(FrameReader().feed(framing.reply(Opcode.DUMP, number, 0, 0, bytes(80), limit=64))))
        for number in (1, 2)
    )
    joiner = ReplyJoiner()
    assert joiner.add(first) is None
    with pytest.raises(FramingFault):
        joiner.add(second)


@given(st.binary(max_size=300), st.integers(13, 70))
def test_an_upload_split_over_frames_is_joined_again(body: bytes, limit: int) -> None:
    stream = framing.request(Opcode.RESTORE, 9, body, flags=1, limit=limit)
    joiner = UploadJoiner()
    frames = list(FrameReader(limit).feed(stream))
    joined = [joiner.add(frame) for frame in frames]
    assert joined[-1] == Frame(Opcode.RESTORE, 1, 9, body)
    assert all(part is None for part in joined[:-1])
    assert all(frame.status & MORE for frame in frames[:-1])
    assert not joiner.open


def test_another_request_inside_an_upload_is_a_framing_fault() -> None:
    for opcode, request_id in ((Opcode.PING, 9), (Opcode.RESTORE, 10)):
        joiner = UploadJoiner()
        assert joiner.add(Frame(Opcode.RESTORE, MORE, 9, b"x")) is None
        with pytest.raises(FramingFault) as caught:
            joiner.add(Frame(opcode, 0, request_id, b""))
        assert (caught.value.code, caught.value.request_id) == (Status.FRAME_ORDER, request_id)


def test_an_upload_beyond_the_limit_is_refused_at_its_end_and_nothing_of_it_is_kept() -> None:
    joiner = UploadJoiner(limit=100)
    for _ in range(1000):
        assert joiner.add(Frame(Opcode.RESTORE, MORE, 9, bytes(60))) is None
    with pytest.raises(WireError) as caught:
        joiner.add(Frame(Opcode.RESTORE, 0, 9, b""))
    assert caught.value.code is Status.TOO_MANY
    assert joiner.add(Frame(Opcode.PING, 0, 10, b"")) == Frame(Opcode.PING, 0, 10, b"")


def test_a_request_that_cannot_be_split_must_fit_a_frame() -> None:
    with pytest.raises(WireError) as caught:
        framing.request(Opcode.CONSOLE, 1, bytes(FRAME_LIMIT))
    assert caught.value.code is Status.FRAME_LENGTH


def test_a_hot_request_is_32_bytes() -> None:
    data = framing.hot_request(Opcode.READ, 7, 1, 4, Space.GICD, 0x104)
    assert len(data) == HOT_SIZE
    assert HOT_CODEC.unpack_from(data) == (32, 1, 0x10, 0, 7, 1, 4, 1, 0x104, 0)


def test_an_error_reply_has_a_text_unless_it_is_hot() -> None:
    error = WireError(Status.BAD_VCPU, "vcpu", "there are 2 vCPUs: use 0 or 1")
    (frame,) = FrameReader().feed(framing.error_reply(Opcode.ENTER, 3, 5, 6, error))
    reply = reply_of(frame)
    assert (reply.opcode, reply.status, reply.outputs, reply.order) == (Opcode.ENTER, Status.BAD_VCPU, 5, 6)
    assert messages.parse_error(reply.body) == (error.field, error.text)
    for opcode in (Opcode.READ, Opcode.WRITE, Opcode.LINE):
        assert len(framing.error_reply(opcode, 3, 5, 6, error)) == HOT_SIZE


def test_an_error_frame_says_why_the_connection_ends() -> None:
    (frame,) = FrameReader().feed(framing.error_frame(FramingFault(Status.FRAME_LENGTH, "too long", 4)))
    assert (frame.opcode, frame.status, frame.request_id) == (framing.ERROR_OPCODE, Status.FRAME_LENGTH, 4)
    assert messages.parse_error(reply_of(frame).body) == ("", "too long")


def test_many_events_take_several_frames_that_each_fit() -> None:
    events = [Event(number, EventKind.LINE, 0, 40, 0, 1) for number in range(5000)]
    frames = list(FrameReader().feed(framing.event_frames(8, 1, 5000, events)))
    assert [frame.opcode for frame in frames] == [framing.EVENT_OPCODE] * 3
    assert [event for frame in frames for event in messages.parse_events(reply_of(frame).body)] == events


def test_a_hot_reply_with_effects_is_its_32_bytes_and_the_trailer() -> None:
    effects = [Effect(EffectKind.KICK, 1), Effect(EffectKind.AFFINITY, 0, 40, 2)]
    data = framing.reply(Opcode.WRITE, 1, 0, 9, framing.reply_body(Opcode.WRITE, 0, effects))
    assert len(data) == HOT_SIZE + 8 + 2 * 8
    (frame,) = FrameReader().feed(data)
    assert messages.parse_reply(Opcode.WRITE, reply_of(frame).body, True) == {"value": 0, "effects": tuple(effects)}
    assert framing.reply(Opcode.WRITE, 1, 0, 9, framing.reply_body(Opcode.WRITE, 0))[4:] == data[4:HOT_SIZE]
