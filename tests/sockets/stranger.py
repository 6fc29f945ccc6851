"""A client written from protocol/SPEC.md alone, in plain `struct`: `python stranger.py SOCKET`.

It imports nothing of the project and nothing but the standard library.  It performs a session and prints what it saw
as one JSON object.  Section numbers are those of SPEC.md.
"""

from __future__ import annotations

import json
import socket
import struct
import sys
from typing import Any, NamedTuple

HEAD = struct.Struct("<IBBHI")  # length version opcode status request_id (2)
REPLY_HEAD = struct.Struct("<IBBHIHHQ")  # ... outputs flags order (2)
HOT = struct.Struct("<IBBHIHBBQQ")  # ... vcpu size space address value (2)
ENTRY = struct.Struct("<QIHBB")  # value offset vcpu operation space (9)
RESULT = struct.Struct("<QHHI")  # value status outputs zero (9)
EVENT = struct.Struct("<QBBHIQ")  # order kind vcpu intid address value (10)
EFFECT = struct.Struct("<BBHI")  # kind a b c (8)

HELLO, PING, BYE, READ, WRITE, LINE, VECTOR = 0x01, 0x02, 0x03, 0x10, 0x11, 0x12, 0x13
ENTER, DUMP, WAIT, SUBSCRIBE, SNAPSHOT = 0x20, 0x29, 0x50, 0x51, 0x60
EVENT_FRAME, ERROR_FRAME = 0xFE, 0xFF
GICD, GICC, DEBUG = 1, 2, 0x10
SPI_LINE = 0xFFFF
EFFECTS = 1


class Reply(NamedTuple):
    """A whole reply: its head and everything behind the 24 bytes (7)."""

    opcode: int
    status: int
    outputs: int
    order: int
    body: bytes


class Client:
    """A blocking connection."""

    def __init__(self, path: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(20)
        self.socket.connect(path)
        self.last_id = 0
        self.events: list[tuple[int, ...]] = []

    def exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            part = self.socket.recv(count - len(data))
            if not part:
                raise EOFError
            data += part
        return data

    def receive(self) -> tuple[int, Reply]:
        """The next reply that is no event, joined from its frames, and its request id (2, 7, 10)."""
        body = b""
        while True:
            length, version, opcode, status, request_id, outputs, flags, order = REPLY_HEAD.unpack(
                self.exactly(REPLY_HEAD.size)
            )
            assert version == 1
            assert length >= REPLY_HEAD.size
            assert flags in (0, 1)
            body += self.exactly(length - REPLY_HEAD.size)
            if flags:
                continue
            if opcode != EVENT_FRAME:
                return request_id, Reply(opcode, status, outputs, order, body)
            count, zero = struct.unpack_from("<II", body)
            assert zero == 0
            self.events += list(EVENT.iter_unpack(body[8 : 8 + count * EVENT.size]))
            body = b""

    def ask(self, opcode: int, body: bytes = b"", flags: int = 0) -> Reply:
        self.last_id += 1
        self.socket.sendall(HEAD.pack(HEAD.size + len(body), 1, opcode, flags, self.last_id) + body)
        request_id, reply = self.receive()
        assert request_id == self.last_id
        assert reply.opcode == opcode | 0x80
        return reply

    def hot(self, opcode: int, vcpu: int, size: int, space: int, address: int, value: int = 0, flags: int = 0) -> Reply:
        return self.ask(opcode, HOT.pack(0, 0, 0, 0, 0, vcpu, size, space, address, value)[HEAD.size :], flags)

    def read(self, vcpu: int, space: int, address: int, size: int = 4) -> int:
        reply = self.hot(READ, vcpu, size, space, address)
        assert reply.status == 0
        assert len(reply.body) == 8
        return int.from_bytes(reply.body, "little")

    def write(self, vcpu: int, space: int, address: int, value: int, size: int = 4) -> Reply:
        reply = self.hot(WRITE, vcpu, size, space, address, value)
        assert reply.status == 0
        return reply

    def line(self, intid: int, level: int, vcpu: int = SPI_LINE) -> Reply:
        return self.hot(LINE, vcpu, 0, 0, intid, level)


def string(text: str) -> bytes:
    """(1) length, bytes, zeros to a multiple of 4."""
    data = text.encode("ascii")
    return struct.pack("<I", len(data)) + data + bytes(-len(data) % 4)


class Cursor:
    """Reads a body field by field; `at` is the position in the frame."""

    def __init__(self, body: bytes, start: int) -> None:
        self.body = body
        self.start = self.at = start

    def take(self, layout: str) -> tuple[Any, ...]:
        values = struct.unpack_from(layout, self.body, self.at - self.start)
        self.at += struct.calcsize(layout)
        return values

    def string(self) -> str:
        (length,) = self.take("<I")
        (data,) = self.take(f"{length}s")
        self.at += -length % 4
        return str(data, "utf-8")

    def align(self, to: int) -> None:
        self.at += -self.at % to


def hello(client: Client) -> dict[str, Any]:
    """(3)"""
    body = struct.pack("<IBBBBI", 0x63696776, 1, 1, 2, 0, 0) + string("stranger")
    reply = client.ask(HELLO, body)
    assert reply.status == 0
    cursor = Cursor(reply.body, REPLY_HEAD.size)
    magic, version, role, explicit, zero, features = cursor.take("<IBBBBI")
    assert (magic, version, zero) == (0x63696776, 1, 0)
    limits = cursor.take("<15I")
    vcpus, spis, lrs, zero = cursor.take("<HHHH")
    variant, profile, domain, server = (cursor.string() for _ in range(4))
    (count,) = cursor.take("<I")
    windows = {}
    for _ in range(count):
        cursor.align(8)
        base, size = cursor.take("<QQ")
        windows[cursor.string()] = [base, size]
    assert cursor.at == REPLY_HEAD.size + len(reply.body)
    return {
        "role": role,
        "explicit": explicit,
        "features": features,
        "frame_limit": limits[0],
        "geometry": [vcpus, spis, lrs],
        "names": [variant, profile, domain],
        "server": server,
        "windows": windows,
    }


def error(reply: Reply) -> list[Any]:
    """(13) status, field, text."""
    cursor = Cursor(reply.body, REPLY_HEAD.size)
    return [reply.status, cursor.string(), cursor.string()]


def effects(reply: Reply, body_size: int) -> list[list[int]]:
    """(8) the trailer behind a body of `body_size` bytes."""
    at = body_size + -body_size % 8
    count, zero = struct.unpack_from("<II", reply.body, at)
    assert zero == 0
    records = reply.body[at + 8 :]
    assert len(records) == count * EFFECT.size
    return [list(record) for record in EFFECT.iter_unpack(records)]


def vector(client: Client, *entries: tuple[int, int, int, int, int]) -> tuple[Reply, list[tuple[int, ...]]]:
    """(9)"""
    reply = client.ask(VECTOR, struct.pack("<I", len(entries)) + b"".join(ENTRY.pack(*entry) for entry in entries))
    if reply.status:
        return reply, []
    count, zero = struct.unpack_from("<II", reply.body)
    assert (count, zero) == (len(entries), 0)
    return reply, list(RESULT.iter_unpack(reply.body[8:]))


def session(path: str) -> dict[str, Any]:
    """All that a first client would do."""
    client = Client(path)
    seen: dict[str, Any] = {"welcome": hello(client), "ping": client.ask(PING).status}
    seen["typer"] = client.read(0, GICD, 0x004)
    seen["typer_physical"] = client.read(0, 0, seen["welcome"]["windows"]["GICD"][0] + 4)

    client.write(0, GICD, 0x000, 1)  # the distributor forwards
    for vcpu in range(seen["welcome"]["geometry"][0]):
        client.write(vcpu, GICC, 0x000, 1)
        client.write(vcpu, GICC, 0x004, 0xFF)
    client.write(0, GICD, 0x400 + 40, 0x80, size=1)
    client.write(0, GICD, 0x800 + 40, 0x02, size=1)  # SPI 40 goes to vCPU 1
    client.write(0, GICD, 0xC08, 0)  # level-sensitive
    client.write(0, GICD, 0x104, 1 << 8)
    seen["priority"] = client.read(0, GICD, 0x400 + 40, size=1)

    assert client.ask(SUBSCRIBE, struct.pack("<I", 1 << 0 | 1 << 1)).status == 0
    raised = client.line(40, 1)
    seen["raised"] = [raised.status, raised.outputs]
    seen["peeked"] = client.read(1, DEBUG | GICC, 0x00C)
    seen["acknowledged"] = client.read(1, GICC, 0x00C)
    lowered = client.line(40, 0)
    seen["orders_follow"] = lowered.order == raised.order + 2  # the peek took no number

    reply, results = vector(
        client,
        (40, 0x010, 1, 0x41, GICC),  # write EOIR
        (1, 40, SPI_LINE, 0x02, 0),  # raise SPI 40 again
        (0, 0x204, 0, 0x40, GICD),  # read ISPENDR1
    )
    # those of the falling line come behind its reply, those of the vector behind the vector's
    seen["events"] = [[order - raised.order, kind, intid, value] for order, kind, _, intid, _, value in client.events]
    seen["vector"] = [[status, outputs, value] for value, status, outputs, _ in results]
    seen["vector_order"] = reply.order - lowered.order

    sgi = client.hot(WRITE, 0, 4, GICD, 0xF00, 1 << 16 | 5, EFFECTS)
    seen["sgi"] = [sgi.status, sgi.outputs, effects(sgi, 8)]
    seen["wait"] = client.ask(WAIT, struct.pack("<HHI", 0x0005, 0, 5000)).status
    dump = client.ask(DUMP, struct.pack("<I", 1))
    seen["dump_lines"] = len(Cursor(dump.body, REPLY_HEAD.size).string().splitlines())

    refused = client.hot(READ, 9, 4, GICD, 0)
    seen["bad_vcpu"] = [refused.status, len(refused.body)]
    seen["bad_flags"] = client.hot(READ, 0, 4, GICD, 0, flags=4).status
    seen["denied"] = error(client.ask(0x62, struct.pack("<BBH", 0, 0, 0)))[0]
    seen["unsupported"] = error(client.ask(0x6F))[0]
    seen["bad_state"] = error(client.ask(ENTER, struct.pack("<HH", 0, 0)))[0]
    seen["bad_entry"] = error(vector(client, (0, 0, 0, 0x40, GICD), (0, 0, 0, 0x30, GICD))[0])[:2]
    seen["late_wait"] = error(client.ask(WAIT, struct.pack("<HHI", 0x0008, 0, 1)))[0]

    client.socket.sendall(struct.pack("<I", 5))
    _, fault = client.receive()
    seen["framing_fault"] = [fault.opcode, error(fault)[0]]
    try:
        client.exactly(1)
    except EOFError:
        seen["closed"] = True

    other = Client(path)
    hello(other)
    seen["bye"] = other.ask(BYE).status
    return seen


if __name__ == "__main__":
    json.dump(session(sys.argv[1]), sys.stdout)
