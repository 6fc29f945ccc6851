"""The client's end of the wire, without a socket."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vgicd_client import requests
from vgicd_client.errors import ProtocolError, Refused
from vgicd_client.requests import Entry
from vgicd_client.wire import EVENTS_KEPT, Arrival, Inbox, decode, encode, following, frames_of
from vgicd_protocol import bodies, framing, messages
from vgicd_protocol.errors import FramingFault, Status, WireError, sentence
from vgicd_protocol.events import GAP, Event, EventKind
from vgicd_protocol.frames import EFFECTS, MORE, REPLY_BIT, Opcode
from vgicd_protocol.image import Geometry, StateImage

READ = requests.read(1, 1, 0x104, 4)


def arrival(opcode: int, body: bytes = b"", status: int = 0) -> Arrival:
    return Arrival(opcode, status, 7, 0b10, False, 42, body)


def value(number: int) -> bytes:
    return number.to_bytes(8, "little")


def test_a_hot_request_is_the_declared_frame() -> None:
    assert encode(READ, 9) == framing.hot_request(Opcode.READ, 9, 1, 4, 1, 0x104)
    assert len(encode(READ, 9)) == 32


def test_a_hot_request_equals_its_declaration() -> None:
    fields = messages.parse_hot_frame(encode(requests.line(27, 1, 3), 9))
    assert (fields["vcpu"], fields["address"], fields["value"], fields["space"]) == (3, 27, 1, 0)


def test_effects_are_a_flag() -> None:
    assert encode(requests.enter(0), 1, effects=True)[6] == EFFECTS


def test_effects_of_what_changes_nothing_are_refused_before_sending() -> None:
    with pytest.raises(Refused) as refused:
        encode(requests.dump(), 1, effects=True)
    assert refused.value.code == Status.RESERVED_BITS


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (requests.read(0, 1, 0, 3), Status.BAD_SIZE),
        (requests.read(0, 9, 0), Status.BAD_VALUE),
        (requests.read(-1, 1, 0), Status.BAD_VALUE),
        (requests.read(0, 1, 1 << 64), Status.BAD_VALUE),
        (requests.irq_info(1 << 32), Status.BAD_BODY),
        (requests.line(40, 2), Status.BAD_VALUE),
        (requests.enter(1 << 16), Status.BAD_BODY),
        (requests.dump(2), Status.BAD_BODY),
        (requests.console(b"x" * 5000), Status.BAD_BODY),
        (requests.reset({"speed": 1}), Status.BAD_CONFIG),
    ],
)
def test_what_the_server_would_refuse_is_not_sent(request_: requests.Request[object], code: Status) -> None:
    with pytest.raises(Refused) as refused:
        encode(request_, 1)
    assert refused.value.code == code
    assert str(refused.value)


@pytest.mark.parametrize("value_", [-1, 1 << 64])
def test_a_datum_that_is_not_64_bits_is_a_mistake_of_the_program(value_: int) -> None:
    with pytest.raises(ValueError, match=f"2\\*\\*64 - 1, not {value_}"):
        encode(requests.write(0, 1, 0, value_), 1)


@pytest.mark.parametrize(
    "request_",
    [requests.irq_info("x"), requests.line("x", 1), requests.write(0, 1, 0, 1.5), requests.lr_set(0, 0, "x")],  # type: ignore[arg-type]
)
def test_what_is_no_number_is_a_type_error(request_: requests.Request[object]) -> None:
    with pytest.raises(TypeError, match="is a whole number, not"):
        encode(request_, 1)


def test_a_long_upload_is_split_and_its_frames_can_be_told_apart() -> None:
    image = StateImage(Geometry(1, 32, 4, "correct", "virt"), {"a": tuple(range(2000))})
    data = encode(requests.restore(image), 5, limit=4096)
    frames = list(frames_of(data))
    assert b"".join(frames) == data
    assert len(frames) > 3
    assert all(len(frame) <= 4096 for frame in frames)
    flags = [frame[6] for frame in frames]
    assert flags == [MORE] * (len(frames) - 1) + [0]


def test_a_reply_is_decoded() -> None:
    reply = decode(READ, arrival(Opcode.READ, value(0x22)))
    assert (reply.value, reply.fault, reply.order, reply.outputs, reply.effects) == (0x22, False, 42, 2, ())


def test_a_guest_fault_is_no_error() -> None:
    reply = decode(READ, arrival(Opcode.READ, value(0), Status.ABORT))
    assert (reply.value, reply.fault) == (0, True)


def test_effects_come_with_the_reply() -> None:
    body = framing.reply_body(Opcode.WRITE, None, [(1, 2, 0, 0), (4, 0, 77, 3)])
    reply = decode(requests.write(0, 1, 0, 1), arrival(Opcode.WRITE, body), effects=True)
    assert reply.effects == ((1, 2, 0, 0), (4, 0, 77, 3))


def test_a_refusal_carries_code_field_and_sentence() -> None:
    body = messages.build_error("intid", "there is no interrupt 999")
    with pytest.raises(Refused) as refused:
        decode(requests.irq_info(999), arrival(Opcode.IRQ_INFO, body, Status.BAD_INTID))
    error = refused.value
    assert (error.code, error.field, error.text) == (Status.BAD_INTID, "intid", "there is no interrupt 999")


def test_a_hot_refusal_gets_its_sentence_from_its_code() -> None:
    with pytest.raises(Refused, match="No such vCPU"):
        decode(READ, arrival(Opcode.READ, value(0), Status.BAD_VCPU))


GEOMETRY = Geometry(2, 64, 4, "correct", "virt")


@pytest.mark.parametrize(
    ("request_", "status", "text"),
    [
        (requests.read(5, 1, 0), Status.BAD_VCPU, "vcpu: vCPU 5 does not exist: the domain has 2"),
        (requests.read(1, 1, 0), Status.BAD_VCPU, sentence(Status.BAD_VCPU)),
        (requests.read(0, 1, 0x1001), Status.BAD_ADDRESS, "address: GICD is 0x1000 bytes: 0x1001 is outside"),
        (requests.peek(0, 2, 0x2000), Status.BAD_ADDRESS, "address: GICC is 0x2000 bytes: 0x2000 is outside"),
        (requests.read(0, 3, 0), Status.BAD_VALUE, "space: no guest reaches GICH: use peek or lrs (lr_get)"),
        (
            requests.write(0, 3, 0, 1),
            Status.BAD_VALUE,
            "space: no guest reaches GICH: write it in explicit mode, with gich or lr_set",
        ),
        (requests.write(0, 1, 0, 1, 4, 1), Status.READ_ONLY, "plane: the debug plane only reads: write as the guest"),
        (requests.line(27, 1), Status.BAD_VCPU, "vcpu: INTID 27 is a PPI: pass vcpu="),
        (requests.line(27, 1, 2), Status.BAD_VCPU, "vcpu: vCPU 2 does not exist: the domain has 2"),
        (
            requests.line(40, 1, 0),
            Status.BAD_VCPU,
            "vcpu: INTID 40 is an SPI: its line belongs to no vCPU, leave vcpu out",
        ),
        (
            requests.line(3, 1),
            Status.BAD_INTID,
            "intid: INTID 3 is an SGI: it has no line; a guest's write to GICD_SGIR sends it",
        ),
        (requests.line(96, 1), Status.BAD_INTID, "intid: INTID 96 does not exist: the domain has 0 to 95"),
        (requests.line(95, 1), Status.BAD_INTID, sentence(Status.BAD_INTID)),
        (
            requests.pulse(27, 0),
            Status.OWNED,
            "intid: INTID 27 is driven by a device of this domain: drive the device instead",
        ),
        (requests.read(0, 1, 0), Status.DENIED, sentence(Status.DENIED)),
    ],
)
def test_a_hot_refusal_is_worded_from_the_request_and_the_geometry(
    request_: requests.Request[object], status: Status, text: str
) -> None:
    """The general sentence stands where they do not explain the code: the domain may have been rebuilt since HELLO."""
    with pytest.raises(Refused) as refused:
        decode(request_, arrival(request_.opcode, value(0), status), geometry=GEOMETRY)
    assert (refused.value.code, str(refused.value)) == (status, text)


def test_an_owner_that_was_left_out_is_asked_for() -> None:
    body = messages.build_error("vcpu", "vCPU 65535 does not exist: the domain has 2")
    with pytest.raises(Refused, match="INTID 27 is a PPI: pass vcpu="):
        decode(requests.irq_info(27), arrival(Opcode.IRQ_INFO, body, Status.BAD_VCPU))


@pytest.mark.parametrize(
    ("opcode", "body"), [(Opcode.WRITE, value(0)), (Opcode.READ, b"\0"), (Opcode.READ, value(0) + b"\0")]
)
def test_a_reply_that_does_not_fit_breaks_the_protocol(opcode: int, body: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode(READ, arrival(opcode, body))


# --- the inbox ------------------------------------------------------------------------------------------------------


@given(st.lists(st.integers(1, 200), max_size=8), st.lists(st.integers(1, 40), min_size=1, max_size=50))
def test_replies_are_found_however_the_bytes_are_cut(lengths: list[int], cuts: list[int]) -> None:
    bodies_ = [bytes([n % 256] * length) for n, length in enumerate(lengths)]
    data = b"".join(framing.reply(Opcode.DUMP, n + 1, 0, n, body) for n, body in enumerate(bodies_))
    inbox = Inbox()
    start = 0
    for cut in [*cuts, len(data)]:
        inbox.feed(data[start : start + cut])
        start += cut
    assert [a.body for a in inbox.arrivals] == bodies_
    assert [a.request_id for a in inbox.arrivals] == [n + 1 for n in range(len(bodies_))]
    assert inbox.idle


def test_a_split_reply_is_joined() -> None:
    body = bytes(range(256)) * 1000
    inbox = Inbox()
    inbox.feed(framing.reply(Opcode.SNAPSHOT, 3, 0, 9, body))
    assert [a.body for a in inbox.arrivals] == [body]


def test_events_are_kept_aside_in_order() -> None:
    inbox = Inbox()
    events = [Event(n, EventKind.KICK, 1) for n in range(3000)]
    inbox.feed(framing.event_frames(1, 0, 0, events))
    assert not inbox.arrivals
    taken = []
    while (event := inbox.next_event()) is not None:
        taken.append(event)
    assert taken == events
    assert not inbox.has_events


def test_events_that_nobody_takes_are_counted_in_a_gap() -> None:
    inbox = Inbox()
    burst = framing.event_frames(1, 0, 0, [Event(5, EventKind.KICK)] * bodies.EVENT_LIMIT)
    bursts = EVENTS_KEPT // bodies.EVENT_LIMIT + 2
    for _ in range(bursts):
        inbox.feed(burst)
    kept = 0
    while (event := inbox.next_event()) is not None and event.kind != GAP:
        kept += 1
    assert kept == EVENTS_KEPT
    assert event is not None
    assert event.value == bursts * bodies.EVENT_LIMIT - EVENTS_KEPT
    assert inbox.next_event() is None


def test_an_error_frame_ends_the_conversation_with_its_sentence() -> None:
    inbox = Inbox()
    with pytest.raises(ProtocolError, match="HELLO first"):
        inbox.feed(framing.error_frame(FramingFault(Status.NOT_HELLO, "HELLO first")))


def test_goodbye_is_noticed() -> None:
    inbox = Inbox()
    inbox.feed(framing.reply(Opcode.BYE, 0, 0, 0))
    assert inbox.departed
    assert not inbox.arrivals


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        (1 << 30).to_bytes(4, "little") + bytes(28),
        (23).to_bytes(4, "little") + bytes(28),
        framing.reply(Opcode.PING, 1, 0, 0)[:4] + b"\x02" + framing.reply(Opcode.PING, 1, 0, 0)[5:],
        framing.hot_request(Opcode.READ, 1, 0, 4, 1, 0),
    ],
    ids=["http", "long", "short", "version", "request"],
)
def test_what_is_not_the_protocol_is_noticed(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        Inbox().feed(data)


def test_request_ids_never_are_zero() -> None:
    assert following(0) == 1
    assert following(0xFFFF_FFFE) == 0xFFFF_FFFF
    assert following(0xFFFF_FFFF) == 1


def test_the_reply_bit_is_taken_off() -> None:
    inbox = Inbox()
    inbox.feed(framing.reply(Opcode.PING, 1, 0, 0))
    assert inbox.arrivals[0].opcode == Opcode.PING
    assert framing.reply(Opcode.PING, 1, 0, 0)[5] == Opcode.PING | REPLY_BIT


# --- the short ways equal the declarations --------------------------------------------------------------------------

ENTRIES = st.builds(
    Entry,
    value=st.one_of(st.integers(0, 2), st.integers(0, (1 << 64) - 1)),
    offset=st.integers(0, (1 << 32) - 1),
    vcpu=st.integers(0, (1 << 16) - 1),
    operation=st.sampled_from([0x10, 0x11, 0x12, 0x20, 0x21, 0x40, 0x41, 0x80, 0x02, 0x03, 0x30, 0x42, 0xFF]),
    space=st.integers(0, 0x30),
)


@given(st.lists(ENTRIES, max_size=4))
def test_a_vector_is_packed_or_refused_as_its_declaration_says(entries: list[Entry]) -> None:
    request = requests.vector(entries)
    try:
        declared: bytes | int = messages.build_request(Opcode.VECTOR, request.fields)
    except WireError as error:
        declared = 0 if not entries else error.code
    try:
        short: bytes | int = encode(request, 1)[12:]
    except Refused as refused:
        short = 0 if not entries else refused.code
    assert short == declared


@given(st.lists(st.tuples(st.integers(0, (1 << 64) - 1), st.integers(0, 1), st.integers(0, 0xFFFF)), max_size=5))
def test_results_are_unpacked_as_their_declaration_says(results: list[tuple[int, int, int]]) -> None:
    fields = [{"value": v, "status": s, "outputs": o} for v, s, o in results]
    body = messages.build_reply(Opcode.VECTOR, {"results": fields})
    request = requests.vector([Entry.reading(0, 1, 4)])
    found = decode(request, arrival(Opcode.VECTOR, body)).value
    assert [(r.value, int(r.fault), r.outputs) for r in found] == results


@pytest.mark.parametrize("spoil", [0, 4, 8 + 12])
def test_results_that_break_their_declaration_break_the_protocol(spoil: int) -> None:
    body = bytearray(messages.build_reply(Opcode.VECTOR, {"results": [{"value": 1, "status": 0, "outputs": 0}]}))
    body[spoil] ^= 0x40
    with pytest.raises(ProtocolError):
        decode(requests.vector([Entry.reading(0, 1, 4)]), arrival(Opcode.VECTOR, bytes(body)))
