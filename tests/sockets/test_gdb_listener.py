"""The endpoint for gdb: where it listens, whom it lets in, what it holds, and how it lets go.

The debugger is a test's, so that it can be slow, silent or stuck; real ones are in tests/gdb.
"""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
from structlog.testing import capture_logs
from trio.testing import MockClock

from vgicd import config, logs
from vgicd.gdbstub import packets
from vgicd.gdbstub.stub import Stub
from vgicd.server.daemon import Daemon, check
from vgicd.server.freeze import EVERYTHING
from vgicd.server.listeners import AddressError, ListenError
from vgicd_protocol import framing
from vgicd_protocol.frames import Opcode, Role

from .conftest import PATIENCE, Served, Serving, WirePeer
from .rsp_peer import RspPeer, connect_tcp, connect_unix

CTLR, ISENABLER1 = 0x000, 0x104
WATCH_ISENABLER1 = b"Z2,8000104,4"
GO = b"vCont;c:p1.-1"


@pytest.fixture
def gdb(tmp_path: Path) -> dict[str, Any]:
    """The section [gdb] of a daemon that listens for it."""
    return {"listen": ["default"], "arch": "x86-64"}


@asynccontextmanager
async def debugging(served: Served) -> AsyncIterator[RspPeer]:
    """A debugger that has attached, to the default path."""
    debugger = await connect_unix(served.path.with_suffix(".gdb"))
    try:
        assert (await debugger.attach()).startswith(b"T05")
        yield debugger
    finally:
        debugger.sock.close()


Logged = Callable[[str], list[dict[str, Any]]]


@pytest.fixture
def logged() -> Iterator[Logged]:
    """Answers all log lines of an event since the test began."""
    logs.configure(logs.Logging(level="info", format="json"))
    with capture_logs() as lines:
        yield lambda name: [dict(line) for line in lines if line["event"] == name]


async def ask(guest: WirePeer, *, address: int = CTLR, value: int = 0, vcpu: int = 0) -> None:
    """Send a guest's write, whose reply is awaited elsewhere."""
    await guest.send(framing.hot_request(Opcode.WRITE, 7, vcpu, 4, 1, address, value))


async def is_held(guest: WirePeer) -> bool:
    """Does nothing come, however long one waits?"""
    with trio.move_on_after(0.05):
        await guest.receive()
        return False
    return True


async def released_after(guest: WirePeer) -> float:
    """Seconds until the guest is answered."""
    start = trio.current_time()
    await guest.receive()
    return trio.current_time() - start


# --- where it listens -------------------------------------------------------------------------------------------


async def test_it_is_off_unless_asked_for(serving: Serving) -> None:
    async with serving() as served:
        assert served.daemon.debuggers.addresses == []
        assert not served.path.with_suffix(".gdb").exists()


async def test_the_default_path_is_beside_the_daemons(serving: Serving, gdb: dict[str, Any]) -> None:
    async with serving(gdb=gdb, access={"socket_mode": 0o600}) as served:
        path = served.path.with_suffix(".gdb")
        assert served.daemon.debuggers.addresses == [f"unix:{path}"]
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        async with debugging(served):
            pass
        served.daemon.stop("test")
    assert not path.exists()


async def test_a_dead_daemons_path_is_taken_and_a_live_ones_is_not(
    serving: Serving, gdb: dict[str, Any], tmp_path: Path
) -> None:
    path = tmp_path / "vgicd.gdb"
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(str(path))
    dead.close()
    async with serving(gdb=gdb) as served:
        async with debugging(served):
            pass
        other = {"listen": {"unix": [str(tmp_path / "other")]}, "gdb": {"listen": [f"unix:{path}"]}}
        with pytest.raises(ListenError, match="is held by a running daemon"):
            Daemon(config.parse(other, "test"))
        assert not (tmp_path / "other").exists()


async def test_a_loopback_port(serving: Serving, gdb: dict[str, Any]) -> None:
    async with serving(gdb=gdb | {"listen": ["tcp:127.0.0.1:0"]}) as served:
        (address,) = served.daemon.debuggers.addresses
        debugger = await connect_tcp(address)
        assert (await debugger.attach()).startswith(b"T05")
        debugger.sock.close()


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("tcp:0.0.0.0:7000", "is not a loopback address; .* `ssh -L PORT:127.0.0.1:PORT HOST`"),
        ("tcp:7000", "'7000' is not HOST:PORT"),
        ("/tmp/x.gdb", "'/tmp/x.gdb' is no address for gdb: write unix:PATH, tcp:HOST:PORT or default"),
        ("unix:", "is no address for gdb"),
        ("seqpacket:/tmp/x", "is no address for gdb"),
        ("unix:/" + "x" * 120, "is longer than the 107 bytes"),
    ],
)
def test_an_address_that_cannot_be_right_is_refused_before_anything_starts(address: str, words: str) -> None:
    with pytest.raises(AddressError, match=words):
        check(config.parse({"gdb": {"listen": [address]}}, "test"))


# --- who may attach ---------------------------------------------------------------------------------------------


async def test_a_role_is_what_the_rules_say(serving: Serving, gdb: dict[str, Any]) -> None:
    async with serving(gdb=gdb | {"listen": ["tcp:127.0.0.1:0"]}, access={"tcp_role": "observe"}) as served:
        debugger = await connect_tcp(served.daemon.debuggers.addresses[0])
        await debugger.attach()
        assert await debugger.ask(b"m8000104,4") == b"00000000"
        refused = await debugger.ask(b"M8000104,4:ffffffff")
        assert refused.startswith(b"E.This needs role guest, and your debugger has observe")
        assert await debugger.ask(b"m8000104,4") == b"00000000"
        debugger.sock.close()


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        ({"connections": 1}, b"1 connections are open, which is the limit."),
        ({"connections_per_uid": 1}, b"You have 1 connections, the limit."),
    ],
)
async def test_a_debugger_too_many_reads_why(
    serving: Serving, gdb: dict[str, Any], limits: dict[str, int], words: bytes, logged: Logged
) -> None:
    async with serving(gdb=gdb, limits=limits) as served:
        peer = await served.connect(Role.GUEST)
        debugger = await connect_unix(served.path.with_suffix(".gdb"))
        assert await debugger.ask(b"qSupported") == b"E." + words
        assert await debugger.ask(b"vMustReplyEmpty") == b"E." + words
        debugger.sock.close()
        await peer.expect(Opcode.BYE)
        await served.until_connections(0)
        async with debugging(served):
            peer = await served.connect(None)
            await peer.fault()
    (refused, _) = logged("conn.refused")
    assert refused["transport"] == "unix"


async def test_of_those_too_many_no_more_are_heard_than_may_be_connected(
    serving: Serving, gdb: dict[str, Any], autojump_clock: MockClock
) -> None:
    async with serving(gdb=gdb, limits={"connections": 1}) as served:
        await served.connect(Role.GUEST)
        start = trio.current_time()
        heard, unheard = [await connect_unix(served.path.with_suffix(".gdb")) for _ in range(2)]
        await unheard.closed()
        assert trio.current_time() - start <= 0.1
        await heard.closed()
        assert 2 <= trio.current_time() - start <= 2.1


async def test_the_rest_are_told_that_nobody_names_them(
    serving: Serving, gdb: dict[str, Any], monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    async with serving(gdb=gdb) as served:
        monkeypatch.setattr(served.daemon._rules, "highest_role", lambda _: None)
        debugger = await connect_unix(served.path.with_suffix(".gdb"))
        assert await debugger.ask(b"qSupported") == b"E.No access rule of this daemon names you."
        await debugger.closed()


async def test_a_debugger_that_says_nothing_is_closed(
    serving: Serving, gdb: dict[str, Any], autojump_clock: MockClock
) -> None:
    async with serving(gdb=gdb) as served:
        debugger, start = await connect_unix(served.path.with_suffix(".gdb")), trio.current_time()
        await debugger.closed()
        assert 5 <= trio.current_time() - start <= 6


async def test_everybody_is_in_the_table_of_clients(serving: Serving, gdb: dict[str, Any]) -> None:
    async with serving(gdb=gdb) as served:
        guest, _ = await served.connect(Role.GUEST), await served.connect(None)
        async with debugging(served):
            await ask(guest)
            await served.connect(Role.OBSERVE)
            rows = served.daemon.debuggers.clients()
    assert [(row.role, row.transport, row.state) for row in rows] == [
        ("guest", "unix", "held"),
        ("none yet", "unix", "running"),
        ("observe", "unix", "running"),
        ("control", "unix", "all-stop: vcpu0 stopped, vcpu1 stopped"),
    ]
    assert rows[0].peer == f"uid {os.getuid()} pid {os.getpid()}"
    assert rows[-1].number == "gdb#1"
    assert rows[0].requests == 1


# --- holding and letting go ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["continue", "detach", "kill", "end", "reset"])
async def test_every_way_of_going_on_lets_the_guest_go(
    serving: Serving, gdb: dict[str, Any], way: str, autojump_clock: MockClock
) -> None:
    async with serving(gdb=gdb) as served:
        guest = await served.connect(Role.GUEST)
        async with debugging(served) as debugger:
            await ask(guest)
            assert await is_held(guest)
            match way:
                case "continue":
                    await debugger.send(GO)
                case "detach":
                    assert await debugger.ask(b"D;1") == b"OK"
                case "kill":
                    await debugger.send(b"k")
                    await debugger.closed()
                case "end":
                    debugger.sock.close()
                case "reset":
                    # What SIGKILL leaves behind: the end of the stream, in the middle of a packet.
                    await debugger.send_raw(b"$m80001")
                    debugger.sock.close()
            assert await released_after(guest) <= 0.1


async def test_a_watchpoint_stops_the_access_that_meets_it(
    serving: Serving, gdb: dict[str, Any], autojump_clock: MockClock
) -> None:
    async with serving(gdb=gdb) as served:
        guest = await served.connect(Role.GUEST)
        async with debugging(served) as debugger:
            assert await debugger.ask(WATCH_ISENABLER1) == b"OK"
            await debugger.send(GO)
            await guest.write(CTLR, 1)
            await ask(guest, address=ISENABLER1, value=4, vcpu=1)
            stop = await debugger.receive()
            assert stop.startswith(b"T05watch:8000104;thread:p1.2;")
            assert await debugger.ask(b"m8000104,4") == b"04000000"
            assert await is_held(guest)
            await debugger.send(GO)
            await guest.receive()


async def test_with_the_freeze_off_the_guest_is_never_held(serving: Serving, gdb: dict[str, Any]) -> None:
    async with serving(gdb=gdb | {"freeze": "off"}) as served:
        guest = await served.connect(Role.GUEST)
        async with debugging(served) as debugger:
            await guest.write(ISENABLER1, 4)
            assert await debugger.ask(b"m8000104,4") == b"04000000"


async def test_a_person_may_think_as_long_as_it_takes(
    serving: Serving, gdb: dict[str, Any], autojump_clock: MockClock
) -> None:
    async with serving(gdb=gdb) as served:
        guest = await served.connect(Role.GUEST)
        async with debugging(served):
            await ask(guest)
            await trio.sleep(3600)
            assert await is_held(guest)


async def test_a_stuck_debugger_does_not_hold_the_guest(
    serving: Serving, gdb: dict[str, Any], autojump_clock: MockClock, logged: Logged
) -> None:
    """It is told of a stop, and does not ask for the registers that every gdb asks for."""
    async with serving(gdb=gdb) as served:
        guest = await served.connect(Role.GUEST)
        async with debugging(served) as debugger:
            await debugger.ask(WATCH_ISENABLER1)
            await debugger.send(GO)
            await ask(guest, address=ISENABLER1, value=4)
            assert (await debugger.receive()).startswith(b"T05watch")
            assert 10 <= await released_after(guest) <= 11
            text = await debugger.monitor("why")
            assert "gdb was told of a stop and asked for nothing for 10 s (gdb.watchdog_seconds)" in text
            await guest.write(ISENABLER1, 8)
            assert await debugger.ask(b"m8000104,4") == b"0c000000"
            await debugger.send(GO)
            await ask(guest, address=ISENABLER1, value=16)
            assert (await debugger.receive()).startswith(b"T05watch")
            await debugger.look()
            assert await is_held(guest)
    (line,) = logged("gdb.released")
    assert (line["who"], line["held_seconds"] >= 10) == ("gdb#1", True)


async def test_half_a_packet_does_not_hold_the_guest(
    serving: Serving, gdb: dict[str, Any], autojump_clock: MockClock
) -> None:
    """However busily it goes on."""
    async with serving(gdb=gdb | {"watchdog_seconds": 5.0}) as served:
        guest = await served.connect(Role.GUEST)
        async with debugging(served) as debugger, trio.open_nursery() as nursery:
            await ask(guest)

            async def dribble() -> None:
                for byte in packets.encode(b"X8000104," + b"4" * 100)[:-1]:
                    await debugger.send_raw(bytes([byte]))
                    await trio.sleep(0.5)

            nursery.start_soon(dribble)
            assert 5 <= await released_after(guest) <= 6
            nursery.cancel_scope.cancel()


async def test_a_debugger_that_takes_nothing_does_not_hold_the_guest(
    serving: Serving, gdb: dict[str, Any], autojump_clock: MockClock
) -> None:
    async with serving(gdb=gdb) as served:
        guest = await served.connect(Role.GUEST)
        async with debugging(served) as debugger:
            await ask(guest)
            await debugger.send(b"m8000000,4")
            assert 10 <= await released_after(guest) <= 12


async def test_a_hard_limit_for_emulators_that_do_not_wait(
    serving: Serving, gdb: dict[str, Any], autojump_clock: MockClock
) -> None:
    async with serving(gdb=gdb | {"freeze_seconds": 3.0}) as served:
        guest = await served.connect(Role.GUEST)
        async with debugging(served) as debugger:
            await ask(guest)
            assert 2 <= await released_after(guest) <= 4
            assert "held for 3 s at once here (gdb.freeze_seconds)" in await debugger.monitor("why")


async def test_a_debugger_does_not_hold_itself_and_two_must_both_let_go(
    serving: Serving, gdb: dict[str, Any], autojump_clock: MockClock
) -> None:
    async with serving(gdb=gdb) as served:
        guest = await served.connect(Role.GUEST)
        async with debugging(served) as first, debugging(served) as second:
            assert served.daemon.hub.freeze.mask == EVERYTHING
            assert await first.ask(b"M8000104,4:04000000") == b"OK"
            assert await second.ask(b"m8000104,4") == b"04000000"
            await ask(guest)
            await first.send(GO)
            assert await is_held(guest)
            assert "gdb#2" in (await first.receive()).decode("latin-1") or served.daemon.hub.freeze.mask
            await second.send(GO)
            await guest.receive()


async def test_a_watchpoint_meets_what_another_debugger_writes(
    serving: Serving, gdb: dict[str, Any], autojump_clock: MockClock
) -> None:
    async with serving(gdb=gdb) as served, debugging(served) as first, debugging(served) as second:
        await first.ask(WATCH_ISENABLER1)
        await first.send(GO)
        assert await second.ask(b"M8000104,4:04000000") == b"OK"
        stop = await first.receive()
        while stop.startswith(b"O"):
            stop = await first.receive()
        assert stop.startswith(b"T05watch:8000104")


async def test_a_watchpoint_does_not_meet_what_its_own_debugger_writes(serving: Serving, gdb: dict[str, Any]) -> None:
    async with serving(gdb=gdb) as served:
        guest = await served.connect(Role.GUEST)
        debugger = await connect_unix(served.path.with_suffix(".gdb"))
        for packet, answer in ((b"QStartNoAckMode", b"OK"), (b"QNonStop:1", b"OK"), (b"?", b"OK")):
            assert await debugger.ask(packet) == answer
        assert await debugger.ask(WATCH_ISENABLER1) == b"OK"
        assert await debugger.ask(b"M8000104,4:04000000") == b"OK"
        assert await debugger.ask(b"m8000104,4") == b"04000000"
        await ask(guest, address=ISENABLER1, value=8)
        assert (await debugger.receive()).startswith(b"Stop:T05watch:8000104")
        debugger.sock.close()


async def test_a_daemon_that_stops_lets_everybody_go(
    serving: Serving, gdb: dict[str, Any], autojump_clock: MockClock, logged: Logged
) -> None:
    async with serving(gdb=gdb) as served:
        guest = await served.connect(Role.GUEST)
        async with debugging(served) as debugger:
            await ask(guest)
            assert await is_held(guest)
            served.daemon.stop("test")
            assert (await guest.receive()).opcode == Opcode.WRITE
            assert (await guest.receive()).opcode == Opcode.BYE
            await debugger.closed()
            assert [line["reason"] for line in logged("gdb.close")] == ["daemon stopped"]


# --- what goes wrong ----------------------------------------------------------------------------------------------


async def test_a_stub_that_fails_harms_nobody_but_its_debugger(
    serving: Serving,
    gdb: dict[str, Any],
    autojump_clock: MockClock,
    monkeypatch: pytest.MonkeyPatch,
    logged: Logged,
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("as a test wants it")

    async with serving(gdb=gdb) as served:
        guest = await served.connect(Role.GUEST)
        async with debugging(served) as debugger:
            await debugger.ask(WATCH_ISENABLER1)
            await debugger.send(GO)
            with monkeypatch.context() as patch:
                patch.setattr(Stub, "see", fail)
                await guest.write(ISENABLER1, 4)
            await debugger.closed()
        async with debugging(served) as debugger:
            await ask(guest)
            assert await is_held(guest)
            with monkeypatch.context() as patch:
                patch.setattr(Stub, "receive", fail)
                await debugger.send_raw(packets.encode(b"g") * 3)
                await guest.receive()
            await debugger.closed()
        assert not served.daemon.hub.debugged
    assert len(logged("gdb.failed")) == 2


async def test_bytes_that_are_no_packets_end_nothing(serving: Serving, gdb: dict[str, Any]) -> None:
    async with serving(gdb=gdb) as served, debugging(served) as debugger:
        await debugger.send_raw(bytes(range(256)) * 4 + b"#00")
        await debugger.send(b"qSupported")
        while b"PacketSize" not in await debugger.receive():
            pass


async def test_a_debugger_that_asks_much_at_once_is_answered_in_order_and_starves_nobody(
    serving: Serving, gdb: dict[str, Any]
) -> None:
    """Sixty megabytes of answers are asked for before one is taken; a guest meanwhile does not wait for them."""
    async with serving(gdb=gdb | {"freeze": "off"}) as served:
        guest = await served.connect(Role.GUEST)
        async with debugging(served) as debugger, trio.open_nursery() as nursery:
            many = 2000
            nursery.start_soon(debugger.send_raw, packets.encode(b"qXfer:features:read:target.xml:0,fff0") * many)
            with trio.fail_after(PATIENCE):
                for _ in range(100):
                    await guest.read(CTLR)
            (connection,) = served.daemon.debuggers.connections
            assert len(connection.stub.out) < 1 << 17
            answers = {await debugger.receive() for _ in range(many)}
            assert len(answers) == 1


async def test_opening_and_closing_are_logged(serving: Serving, gdb: dict[str, Any], logged: Logged) -> None:
    async with serving(gdb=gdb) as served:
        async with debugging(served) as debugger:
            await debugger.ask(b"D;1")
        with trio.fail_after(PATIENCE):
            while served.daemon.debuggers.connections:  # noqa: ASYNC110 (the daemon has no event for a test's sake)
                await trio.sleep(0.01)
    (ready,) = logged("serve.ready")
    assert ready["gdb"] == [f"unix:{served.path.with_suffix('.gdb')}"]
    (opened,) = logged("gdb.open")
    assert (opened["who"], opened["role"], opened["transport"]) == ("gdb#1", "control", "unix")
    (closed,) = logged("gdb.close")
    assert (closed["who"], closed["packets"] > 3) == ("gdb#1", True)
