"""Replies that no daemon sends: the client ends the connection with a sentence, whatever the bytes are."""

from __future__ import annotations

import random
import socket
import struct
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.c.harness import (
    ABORT,
    BROKEN,
    LOST,
    OK,
    REFUSED,
    WELCOME,
    Answer,
    Driver,
    FakeServer,
    hot_reply,
    reply,
)
from vgicd_protocol.errors import Status
from vgicd_protocol.frames import FRAME_LIMIT, REPLY_HEAD_SIZE, Opcode

READ = ("read", 0, 1, 4, 4)
FIRST = 2
"""The id of the first request after HELLO."""


def word(*numbers: int) -> bytes:
    return b"".join(number.to_bytes(4, "little") for number in numbers)


def event_body(count: int, records: int, zero: int = 0) -> bytes:
    return word(count, zero) + bytes(24 * records)


@pytest.fixture
def peer(driver: Driver, server: FakeServer) -> FakeServer:
    """The server to which `driver` is connected."""
    assert server.welcome(driver).result == OK
    return server


def answered(driver: Driver, server: FakeServer, call: tuple[object, ...], data: bytes) -> Answer:
    """What `call` answers when its request is answered with `data`."""
    driver.send(*call)
    server.frame()
    server.send(data)
    return driver.answer()


HOT = hot_reply(Opcode.READ, FIRST)
WRONG = {
    "a frame shorter than its head": word(REPLY_HEAD_SIZE - 1) + HOT[4:],
    "a frame of no length": bytes(32),
    "a frame longer than all": word(FRAME_LIMIT + 1) + HOT[4:],
    "a length of all ones": word(0xFFFF_FFFF),
    "another version": reply(Opcode.READ, FIRST, bytes(8), version=2),
    "a request": HOT[:5] + bytes([Opcode.READ]) + HOT[6:],
    "another opcode": hot_reply(Opcode.WRITE, FIRST),
    "another id": hot_reply(Opcode.READ, FIRST + 1),
    "the id of the request before": hot_reply(Opcode.READ, FIRST - 1),
    "the server's id": hot_reply(Opcode.READ, 0),
    "unknown flags": reply(Opcode.READ, FIRST, bytes(8), flags=2),
    "no value": reply(Opcode.READ, FIRST),
    "a value too long": reply(Opcode.READ, FIRST, bytes(12)),
    "a refusal with words": reply(Opcode.READ, FIRST, bytes(16), status=0x10),
    "a split reply to nothing": reply(Opcode.DUMP, 9, bytes(8), flags=1),
    "another frame inside a split reply": reply(Opcode.READ, FIRST, bytes(4), flags=1) + hot_reply(Opcode.READ, 1),
    "events without a subscription": reply(Opcode.EVENT, 1, event_body(0, 0)),
    "no vgicd at all": b"HTTP/1.0 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
}


@pytest.mark.parametrize("data", WRONG.values(), ids=[name.replace(" ", "-") for name in WRONG])
def test_a_wrong_reply_ends_the_connection(driver: Driver, peer: FakeServer, data: bytes) -> None:
    answer = answered(driver, peer, READ, data)
    assert (answer.result, answer.maybe_applied) == (BROKEN, True), answer
    assert answer.error.startswith(f"{peer.address}: the peer broke the protocol: ")
    later = driver(*READ)
    assert (later.result, later.error, later.maybe_applied) == (BROKEN, answer.error, False)
    assert driver("fd").result == -1


BODIES = {
    "ping with a body": ("ping", reply(Opcode.PING, FIRST, bytes(4))),
    "vector of another count": ("vector l:40:65535:1", reply(Opcode.VECTOR, FIRST, word(2, 0) + bytes(16))),
    "vector with reserved bits": ("vector l:40:65535:1", reply(Opcode.VECTOR, FIRST, word(1, 1) + bytes(16))),
    "vector too short": ("vector l:40:65535:1", reply(Opcode.VECTOR, FIRST, word(1, 0) + bytes(12))),
    "result with a refusal": (
        "vector l:40:65535:1",
        reply(Opcode.VECTOR, FIRST, word(1, 0) + struct.pack("<QHHI", 0, 0x10, 0, 0)),
    ),
    "result with reserved bits": (
        "vector l:40:65535:1",
        reply(Opcode.VECTOR, FIRST, word(1, 0) + struct.pack("<QHHI", 0, 0, 0, 1)),
    ),
    "more list registers than can be": ("enter 0", reply(Opcode.ENTER, FIRST, word(0, 0, 0, 65) + bytes(260))),
    "fewer list registers than said": ("enter 0", reply(Opcode.ENTER, FIRST, word(0, 0, 0, 4) + bytes(12))),
    "more list registers than said": ("exit 0", reply(Opcode.EXIT, FIRST, bytes(28) + word(1) + bytes(8))),
    "a world switch of nothing": ("exit 0", reply(Opcode.EXIT, FIRST)),
    "a refusal of nothing": ("ping", reply(Opcode.PING, FIRST, status=0x41)),
    "a refusal's field beyond its body": ("ping", reply(Opcode.PING, FIRST, word(200) + bytes(8), status=0x41)),
    "a refusal's field too long": ("ping", reply(Opcode.PING, FIRST, word(256) + bytes(260), status=0x41)),
    "a refusal's text too long": ("ping", reply(Opcode.PING, FIRST, word(0, 4097) + bytes(4100), status=0x41)),
    "a refusal's text of all ones": ("ping", reply(Opcode.PING, FIRST, word(0, 0xFFFF_FFFF), status=0x41)),
    "a refusal's padding": ("ping", reply(Opcode.PING, FIRST, word(1) + b"aXXX" + word(0), status=0x41)),
    "a refusal with more": ("ping", reply(Opcode.PING, FIRST, word(0, 0, 0), status=0x41)),
    "a wait that tells": ("wait 1 0", reply(Opcode.WAIT, FIRST, bytes(4))),
    "reset without its number": ("reset", reply(Opcode.RESET, FIRST)),
    "events that do not fill": ("subscribe 1", reply(Opcode.EVENT, FIRST, event_body(2, 1))),
    "events with reserved bits": ("subscribe 1", reply(Opcode.EVENT, FIRST, event_body(1, 1, 1))),
    "events with a status": ("subscribe 1", reply(Opcode.EVENT, FIRST, event_body(1, 1), status=1)),
    "events of nothing": ("subscribe 1", reply(Opcode.EVENT, FIRST)),
    "events beyond the limit": ("subscribe 1", reply(Opcode.EVENT, FIRST, event_body(2049, 2049))),
}


@pytest.mark.parametrize(("call", "data"), BODIES.values(), ids=[name.replace(" ", "-") for name in BODIES])
def test_a_body_that_is_none_ends_the_connection(driver: Driver, peer: FakeServer, call: str, data: bytes) -> None:
    answer = answered(driver, peer, tuple(call.split()), data)
    assert answer.result == BROKEN, answer
    assert "the peer broke the protocol" in answer.error


def changed(at: int, value: bytes) -> bytes:
    return WELCOME[:at] + value + WELCOME[at + len(value) :]


STRANGE = {
    "another magic": (changed(24, b"x"), "no vgicd answers there"),
    "a version not offered": (changed(28, b"\2"), "a version that was not offered"),
    "no role": (changed(29, b"\0"), "out of its range"),
    "an unknown role": (changed(29, b"\4"), "out of its range"),
    "an unknown mode": (changed(30, b"\2"), "out of its range"),
    "no vCPU": (changed(96, b"\0\0"), "out of its range"),
    "nine vCPUs": (changed(96, b"\x09\0"), "out of its range"),
    "a frame limit of nothing": (changed(36, word(0)), "out of its range"),
    "a frame limit beyond the protocol's": (changed(36, word(FRAME_LIMIT + 1)), "out of its range"),
    "a name beyond its limit": (changed(104, word(33)), "do not fill it"),
    "a name beyond the frame": (changed(104, word(0xFFFF_FFFF)), "do not fill it"),
    "a name that is no text": (changed(108, b"\xff"), "do not fill it"),
    "more windows than said": (changed(148, word(1)), "do not fill it"),
    "fewer windows than said": (changed(148, word(3)), "do not fill it"),
    "too many windows": (changed(148, word(65)), "do not fill it"),
    "nothing": (reply(Opcode.HELLO, 1), "no vgicd answers there"),
    "half of it": (reply(Opcode.HELLO, 1, WELCOME[24:100]), "no vgicd answers there"),
}


@pytest.mark.parametrize(("frame", "words"), STRANGE.values(), ids=[name.replace(" ", "-") for name in STRANGE])
def test_a_strange_welcome_is_none(driver: Driver, server: FakeServer, frame: bytes, words: str) -> None:
    answer = server.welcome(driver, frame)
    assert (answer.result, words in answer.error) == (BROKEN, True), answer
    assert driver("ping").result == BROKEN


def test_control_characters_of_a_sentence_do_not_reach_a_terminal(driver: Driver, peer: FakeServer) -> None:
    text = "\x1b[2J\nno\t\0\x7f ü\x9b2J".encode()
    body = word(0, len(text)) + text + bytes(-len(text) % 4)
    answer = answered(driver, peer, ("ping",), reply(Opcode.PING, FIRST, body, status=0x41))
    assert answer.error == b"?[2J?no??? \xc3\xbc\xc2?2J".decode(errors="replace")
    assert driver("fd").result >= 0


def test_a_reply_may_come_byte_by_byte_and_split_over_frames(driver: Driver, peer: FakeServer) -> None:
    driver.send(*READ)
    peer.frame()
    for byte in hot_reply(Opcode.READ, FIRST, 0x0123_4567_89AB_CDEF, outputs=5, order=2**63):
        peer.send(bytes([byte]))
    assert driver.answer()[:4] == (OK, 0x0123_4567_89AB_CDEF, 5, 2**63)
    halves = (
        reply(Opcode.READ, 3, b"\1\2\3", flags=1) + reply(Opcode.READ, 3, flags=1) + reply(Opcode.READ, 3, bytes(5))
    )
    assert answered(driver, peer, READ, halves)[:2] == (OK, 0x030201)
    assert answered(driver, peer, READ, hot_reply(Opcode.READ, 4, 0, status=1)).result == ABORT


def test_frames_behind_a_reply_are_there_for_the_next_call(driver: Driver, peer: FakeServer) -> None:
    """Also when the last of them is incomplete, or wrong."""
    event = reply(Opcode.EVENT, FIRST, event_body(1, 1), outputs=3)
    first = answered(driver, peer, ("subscribe", 1), reply(Opcode.SUBSCRIBE, FIRST) + event + event[:30])
    assert (first.result, first.outputs) == (OK, 3)
    assert len(driver("events").extra.split()) == 1
    peer.send(event[30:])
    assert driver("poll", -1).result == OK
    assert len(driver("events").extra.split()) == 1
    assert answered(driver, peer, READ, hot_reply(Opcode.READ, 3, 7) + bytes(4))[:2] == (OK, 7)
    assert driver("ping").result == BROKEN


def test_what_a_refused_connection_left_behind_is_not_the_next_ones(driver: Driver, server: FakeServer) -> None:
    refusal = reply(Opcode.HELLO, 1, word(0, 0), status=Status.DENIED)
    driver.send("connect", server.address, 0, 0, 0, 0)
    server.accept()
    server.frame()
    server.send(refusal + refusal[:10])
    assert driver.answer().result == REFUSED
    server.hang_up()
    assert server.welcome(driver).result == OK


def test_what_arrives_while_a_request_cannot_be_sent_is_taken_in(driver: Driver, peer: FakeServer) -> None:
    """A daemon whose events nobody reads would stop reading, and both would wait for ever."""
    assert answered(driver, peer, ("subscribe", 1), reply(Opcode.SUBSCRIBE, FIRST)).result == OK
    body, upload = bytes(400_000), b""
    driver.send("raw", int(Opcode.RESTORE), 0, body.hex())
    for _ in range(100):  # more than the socket's buffers hold
        peer.send(reply(Opcode.EVENT, FIRST, event_body(1000, 1000)))
    while len(upload) < len(body):
        upload += peer.frame()[12:]
    assert upload == body
    peer.send(reply(Opcode.RESTORE, FIRST + 1))
    assert driver.answer().result == OK
    kept = driver("events").extra.split()
    assert (len(kept), kept[-1].split("/")[-1]) == (2049, str(100_000 - 2048))


def test_a_reset_that_fails_is_a_refusal(driver: Driver, peer: FakeServer) -> None:
    error = (-22).to_bytes(4, "little", signed=True)
    answer = answered(driver, peer, ("reset",), reply(Opcode.RESET, FIRST, error))
    assert (answer.result, answer.error) == (-1, "the domain cannot be built anew: errno -22")
    assert driver("fd").result >= 0


@pytest.mark.parametrize(
    ("space", "name"),
    [(0, "the physical address space"), (0x12, "GICC"), (0x23, "GICH"), (4, "DEVICE"), (9, "no known space")],
)
def test_a_refused_access_is_named_with_its_space(driver: Driver, peer: FakeServer, space: int, name: str) -> None:
    refusal = hot_reply(Opcode.READ, FIRST, status=0x12)
    answer = answered(driver, peer, ("read", 3, space, "0xFEDCBA9876543210", 8), refusal)
    start = f"read of 8 bytes at 0xfedcba9876543210 of {name} as vCPU 3: The address is outside"
    assert (answer.result, answer.error.startswith(start)) == (-1, True), answer.error


def test_a_framing_fault_of_ours_is_told_in_the_daemons_words(driver: Driver, peer: FakeServer) -> None:
    text = b"a frame of 5 bytes"
    error = reply(Opcode.ERROR, 0, word(0, len(text)) + text + bytes(2), status=0x49)
    answer = answered(driver, peer, READ, error)
    assert (answer.result, answer.status) == (BROKEN, 0x49)
    assert answer.error == f"{peer.address}: the daemon ended the connection: a frame of 5 bytes"


def test_last_words_are_heard_although_the_connection_is_closed(driver: Driver, peer: FakeServer) -> None:
    text = b"too slow"
    peer.send(reply(Opcode.ERROR, 0, word(0, len(text)) + text, status=0x49))
    peer.hang_up()
    assert driver(*READ).error.endswith("the daemon ended the connection: too slow")


def test_a_message_without_an_end_is_not_kept_for_ever(driver: Driver, peer: FakeServer) -> None:
    driver.send("raw", int(Opcode.DUMP), 0, "00000000")
    peer.frame()
    part = reply(Opcode.DUMP, FIRST, bytes(FRAME_LIMIT - REPLY_HEAD_SIZE), flags=1)
    with suppress(OSError):  # the client has had enough
        for _ in range(1000):
            peer.send(part)
    assert driver.answer().error.endswith("a message without an end")


def test_a_packet_ends_where_a_frame_does(driver: Driver, tmp_path: Path) -> None:
    with FakeServer(tmp_path / "packets", socket.SOCK_SEQPACKET) as server:
        assert server.welcome(driver).result == OK
        event = reply(Opcode.EVENT, FIRST, event_body(1, 1))
        assert answered(driver, server, ("subscribe", 1), reply(Opcode.SUBSCRIBE, FIRST) + event).result == OK
        answer = answered(driver, server, READ, hot_reply(Opcode.READ, 3)[:31])
        assert answer.error.endswith("a packet that ends inside a frame")


def damaged(seed: int) -> Iterator[bytes]:
    """Frames that are nearly right, nearly anything, and nothing."""
    source = random.Random(seed)
    good = [
        HOT,
        reply(Opcode.EVENT, FIRST, event_body(3, 3)),
        WELCOME,
        reply(Opcode.PING, FIRST, word(0, 0), status=0x41),
    ]
    for _ in range(40):
        frame = bytearray(source.choice(good))
        for _ in range(source.randrange(1, 4)):
            frame[source.randrange(len(frame))] = source.randrange(256)
        yield bytes(frame)
        head = REPLY_HEAD_SIZE + source.randrange(200)
        yield reply(
            source.choice((0x10, 0x7E, 0x7F, 3, 0x50)), FIRST, source.randbytes(head), flags=source.choice((0, 1))
        )
        yield source.randbytes(source.randrange(1, 2000))


CALLS = (
    READ,
    ("ping",),
    ("subscribe", 1),
    ("vector", "l:40:65535:1"),
    ("enter", 0),
    ("raw", int(Opcode.DUMP), 0, "00"),
)


@pytest.mark.parametrize("seed", range(2))
def test_random_replies_never_do_more_than_end_the_connection(driver: Driver, server: FakeServer, seed: int) -> None:
    """Under the sanitizers this is where a length that is believed would show."""
    source = random.Random(seed)
    for data in damaged(seed):
        assert server.welcome(driver).result == OK
        driver.send(*source.choice(CALLS))
        server.frame()
        server.send(data)
        server.hang_up()
        assert driver.answer().result in (OK, ABORT, -1, BROKEN, LOST)
        assert driver("poll", 0).result in (OK, BROKEN, LOST)
        driver("events")
        driver("close")


@pytest.mark.parametrize("seed", range(2))
def test_random_welcomes_never_do_more_than_end_the_connection(driver: Driver, server: FakeServer, seed: int) -> None:
    source = random.Random(seed)
    for _ in range(60):
        frame = bytearray(WELCOME)
        for _ in range(source.randrange(1, 6)):
            frame[source.randrange(24, len(frame))] = source.choice((0, 1, 0x7F, 0xFF, source.randrange(256)))
        assert server.welcome(driver, bytes(frame)).result in (OK, BROKEN)
        driver("info")
        driver("close")
        server.hang_up()
