"""Other systems' GIC bugs that need a daemon to show, each named after its origin.

The rows that the core alone can show are in tests/conformance/test_bug_table.py.
"""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from random import Random

import pytest

from vgicd_client import Client, ClientError, Space, Status, connect, private_daemon

HOT = struct.Struct("<IBBHIHBBQQ")
HEAD = struct.Struct("<IBBHI")
VERSION = 1
RESERVED_REGISTER = 0xD00
GICD_ISENABLER1, GICD_ITARGETSR8, GICD_CTLR = 0x104, 0x820, 0x000


def raw(address: str, seconds: float = 10.0) -> socket.socket:
    """A stream connection to the daemon, before HELLO."""
    peer = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    peer.settimeout(seconds)
    peer.connect(address.removeprefix("unix:"))
    return peer


def receive(peer: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count and (more := peer.recv(count - len(data))):
        data += more
    return data


def receive_frame(peer: socket.socket) -> tuple[int, int]:
    """Opcode and status of the next frame; (0, 0) at the end of the stream."""
    head = receive(peer, HEAD.size)
    if not head:
        return 0, 0
    length, _, opcode, status, _ = HEAD.unpack(head)
    receive(peer, length - HEAD.size)
    return opcode, status


def test_xsa_118_a_guest_cannot_flood_the_log() -> None:
    """XSA-118 and XSA-146: at most ten lines a second are the guest's doing; the others are counted, none is lost."""
    faults = 3000
    with private_daemon(strict_abort=True) as daemon, connect(daemon.address) as gic:
        before = sum(gic.stats().values())
        started = time.monotonic()
        for _ in range(faults):
            gic.read(0, Space.GICD, RESERVED_REGISTER)
            assert gic.aborted
        seconds = time.monotonic() - started
        assert sum(gic.stats().values()) - before >= faults
        time.sleep(2.5)  # for the next report of what was suppressed
        lines = [json.loads(line) for line in daemon.log.read_text().splitlines() if line.startswith("{")]
    caused = [line for line in lines if line["event"] == "guest.fault"]
    suppressed = sum(line["lines"] for line in lines if line["event"] == "log.suppressed")
    assert 1 <= len(caused) <= 10 * (int(seconds) + 2)
    assert len(caused) + suppressed == faults


def test_kvm_vgic_debug_eight_readers_dump_at_once_while_the_guest_runs() -> None:
    """KVM's debug file serves one reader at a time, and once leaked."""
    failures: list[BaseException] = []
    dumps: list[tuple[int, str]] = []

    def guarded(work: Callable[[Client], None]) -> threading.Thread:
        def run() -> None:
            try:
                with connect(daemon.address) as client:
                    work(client)
            except BaseException as error:
                failures.append(error)

        return threading.Thread(target=run)

    def read(client: Client) -> None:
        dumps.extend((turn % 2, client.dump(turn % 2)) for turn in range(25))

    def mutate(client: Client) -> None:
        client.write(0, Space.GICD, GICD_CTLR, 1)
        client.write(0, Space.GICD, GICD_ITARGETSR8, 0x01010101)
        for turn in range(300):
            client.write(0, Space.GICD, GICD_ISENABLER1, 0xF)
            client.line(32 + turn % 4, 1)

    with private_daemon(vcpus=2) as daemon:
        threads = [guarded(mutate), *(guarded(read) for _ in range(8))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert not any(thread.is_alive() for thread in threads)
        daemon.check()
    assert failures == []
    assert len(dumps) == 8 * 25
    lines = {text.count("\n") for kind, text in dumps if kind == 1}
    assert len(lines) == 1, "a table of all interrupts lacks some"
    assert lines.pop() > 2 * 32 + 64
    assert any(text for kind, text in dumps if kind == 0), "nothing was ever seen queued"


def test_systemctlm_cosim_9_a_connection_is_welcomed_or_told_why_not_and_never_left_hanging() -> None:
    """Its peer hung after the connect.  The default deadline is 5 s; a shorter one keeps the test short."""
    with private_daemon("--set=limits.hello_seconds=0.5", "--set=limits.connections_per_uid=4") as daemon:
        with raw(daemon.address) as silent:
            started = time.monotonic()
            opcode, status = receive_frame(silent)
            assert (opcode, status) == (0xFF, Status.NOT_HELLO)
            assert time.monotonic() - started < 5
            assert receive_frame(silent) == (0, 0)
        with raw(daemon.address) as rude:
            rude.sendall(HEAD.pack(HEAD.size, VERSION, 0x02, 0, 1))
            assert receive_frame(rude)[1] == Status.NOT_HELLO
        with ExitStack() as stack:
            clients = [stack.enter_context(connect(daemon.address)) for _ in range(4)]
            with raw(daemon.address) as fifth:
                assert receive_frame(fifth) == (0xFF, Status.BUSY)
                assert receive_frame(fifth) == (0, 0)
            with pytest.raises(ClientError, match="4 connections"):
                connect(daemon.address)
            for client in clients:
                client.ping()


def test_the_default_deadline_for_hello_is_five_seconds() -> None:
    with private_daemon() as daemon, connect(daemon.address) as gic:
        assert gic.welcome.limits.hello_ms == 5000


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_renode_534_line_requests_of_any_shape_are_answered(seed: int) -> None:
    """A crash on an interrupt line there; here 3000 random LINE frames all get their 32 bytes, one after the other."""
    random = Random(seed)
    with private_daemon(vcpus=2, spis=32) as daemon, connect(daemon.address) as gic:
        sock = gic._socket
        assert sock is not None
        seen = set()
        for request_id in range(1, 3001):
            intid = random.choice((random.randrange(70), random.randrange(1024), random.getrandbits(64)))
            vcpu = random.choice((0, 1, 2, 0xFFFF, random.getrandbits(16)))
            level = random.choice((0, 1, 2, random.getrandbits(64)))
            kind = random.choice((0, 1, 2, random.getrandbits(8)))
            size = random.choice((0, 0, 0, random.getrandbits(8)))
            flags = random.choice((0, 0, 0, random.getrandbits(16) & ~1))
            sock.sendall(HOT.pack(HOT.size, VERSION, 0x12, flags, request_id, vcpu, size, kind, intid, level))
            reply = HOT.unpack(receive(sock, HOT.size))
            assert reply[0] == HOT.size
            assert reply[2] == 0x92
            assert reply[4] == request_id
            seen.add(Status(reply[3]))
        assert {Status.OK, Status.BAD_INTID, Status.BAD_VCPU, Status.BAD_VALUE} <= seen
        gic.ping()
        daemon.check()
