"""The endpoint for qtest clients: where it listens, whom it lets in, and how it stands beside the other protocols."""

from __future__ import annotations

import socket
import stat
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import trio
from structlog.testing import capture_logs
from trio.testing import MockClock

from vgicd import config, logs
from vgicd.domain.events import EventKind
from vgicd.qtest import commands
from vgicd.server.daemon import Daemon, check
from vgicd.server.freeze import EVERYTHING, REST
from vgicd.server.listeners import AddressError, ListenError
from vgicd_protocol.frames import Opcode, Role

from .conftest import PATIENCE, Served, Serving
from .test_freeze import Breakpoint

GICD, GICC = 0x08000000, 0x08010000
TYPER = f"readl {GICD + 4:#x}"
TWO_VCPUS = "OK 0x0000000000000022"
ENABLE = (
    *(f"writel {GICD:#x} 1", f"writel {GICC:#x} 1", f"writel {GICC + 4:#x} 255", f"writel {GICD + 0x104:#x} 256"),
    *(f"writeb {GICD + 0x828:#x} 1", f"writel {GICD + 0xC08:#x} 0"),
)
RAISE, LOWER = (f"set_irq_in device[2] unnamed-gpio-in 8 {level}" for level in (1, 0))
INTERCEPT = "irq_intercept_in device[0]"
HOLDER = "the debugger"


class LinePeer:
    """The other end of a qtest connection."""

    def __init__(self, sock: trio.socket.SocketType) -> None:
        self.sock = sock
        self._received = b""

    async def send(self, *lines: str) -> None:
        await self.send_raw("".join(f"{line}\n" for line in lines).encode())

    async def send_raw(self, data: bytes) -> None:
        while data:
            data = data[await self.sock.send(data) :]

    async def line(self) -> str:
        """The next line. EOFError at the end of the stream."""
        with trio.fail_after(PATIENCE):
            while b"\n" not in self._received:
                data = await self.sock.recv(1 << 16)
                if not data:
                    raise EOFError
                self._received += data
        line, _, self._received = self._received.partition(b"\n")
        return line.decode("latin-1")

    async def ask(self, *lines: str) -> list[str]:
        """Everything that is said up to the answers of `lines`, which are sent in one go."""
        await self.send(*lines)
        said: list[str] = []
        while sum(not line.startswith("IRQ ") for line in said) < len(lines):
            said.append(await self.line())
        return said

    async def silence(self) -> None:
        """Nothing comes from the daemon, however long one waits."""
        with trio.move_on_after(0.05) as waited:
            pytest.fail(f"{await self.line()} came")
        assert waited.cancelled_caught

    async def closed(self) -> None:
        with pytest.raises((EOFError, ConnectionError)):
            await self.line()


@asynccontextmanager
async def client(served: Served) -> AsyncIterator[LinePeer]:
    with trio.socket.socket(socket.AF_UNIX) as sock:
        await sock.connect(str(served.path.with_suffix(".qtest")))
        yield LinePeer(sock)


@pytest.fixture
def qtest() -> dict[str, Any]:
    return {"listen": ["default"]}


Logged = Callable[[str], list[dict[str, Any]]]


@pytest.fixture
def logged() -> Iterator[Logged]:
    """Answers all log lines of an event since the test began."""
    logs.configure(logs.Logging(level="info", format="json"))
    with capture_logs() as lines:
        yield lambda name: [dict(line) for line in lines if line["event"] == name]


# --- where it listens, and for whom -----------------------------------------------------------------------------


async def test_it_is_off_unless_asked_for(serving: Serving) -> None:
    async with serving() as served:
        assert served.daemon.qtest_listeners == []
        assert not served.path.with_suffix(".qtest").exists()


async def test_the_default_path_is_beside_the_daemons(serving: Serving, qtest: dict[str, Any]) -> None:
    async with serving(qtest=qtest, access={"socket_mode": 0o600}) as served:
        path = served.path.with_suffix(".qtest")
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        async with client(served) as peer:
            assert await peer.ask(TYPER) == [TWO_VCPUS]
        served.daemon.stop("test")
    assert not path.exists()


async def test_a_loopback_port_will_do_and_no_other(serving: Serving) -> None:
    async with serving(qtest={"listen": ["tcp:127.0.0.1:0"]}) as served:
        (listener,) = served.daemon.qtest_listeners
        with trio.socket.socket() as sock:
            await sock.connect(listener.sock.getsockname())
            assert await LinePeer(sock).ask(TYPER) == [TWO_VCPUS]
    with pytest.raises(AddressError, match="is not a loopback address; qtest speaks without encryption"):
        check(config.parse({"qtest": {"listen": ["tcp:0.0.0.0:0"]}}, "test"))
    with pytest.raises(AddressError, match="'7000' is no address for qtest: write unix:PATH, tcp:HOST:PORT or default"):
        check(config.parse({"qtest": {"listen": ["7000"]}}, "test"))


def test_what_cannot_be_opened_leaves_nothing_open(tmp_path: Path) -> None:
    document = {"listen": {"unix": [str(tmp_path / "s")]}, "qtest": {"listen": ["default", "unix:/nonexistent/q"]}}
    with pytest.raises(ListenError, match="/nonexistent/q cannot be listened on"):
        Daemon(config.parse(document, "test"))
    assert list(tmp_path.iterdir()) == []


async def test_a_client_needs_the_role_guest(serving: Serving, logged: Logged) -> None:
    for role, answer in (("observe", "FAIL Here a client acts, for which it needs role guest: "), ("guest", "")):
        async with serving(qtest={"listen": ["tcp:127.0.0.1:0"]}, access={"tcp_role": role}) as served:
            with trio.socket.socket() as sock:
                await sock.connect(served.daemon.qtest_listeners[0].sock.getsockname())
                peer = LinePeer(sock)
                if answer:
                    assert (await peer.line()).startswith(answer)
                    await peer.closed()
                else:
                    assert await peer.ask(TYPER) == [TWO_VCPUS]
    assert [line["reason"] for line in logged("conn.refused")] == ["not allowed"]


async def test_clients_count_among_the_connections(serving: Serving, qtest: dict[str, Any], logged: Logged) -> None:
    async with serving(qtest=qtest, limits={"connections_per_uid": 2}) as served:
        await served.connect()
        async with client(served) as first, client(served) as second:
            assert await first.ask(TYPER) == [TWO_VCPUS]
            assert await second.line() == "FAIL You have 2 connections, the limit."
            await second.closed()
        await served.until_connections(1)
    opened, closed = logged("qtest.open"), logged("qtest.close")
    assert [line["session"] for line in opened] == [line["session"] for line in closed]
    assert (closed[0]["reason"], closed[0]["requests"]) == ("peer closed", 1)


# --- beside others ----------------------------------------------------------------------------------------------


async def test_debuggers_see_who_is_connected(serving: Serving, qtest: dict[str, Any]) -> None:
    async with serving(qtest=qtest) as served, client(served) as peer:
        await peer.ask(TYPER, "endianness")
        (seen,) = served.daemon.debuggers.clients()
        assert (seen.transport, seen.role, seen.requests, seen.state) == ("unix qtest", "guest", 2, "running")


async def test_two_clients_intercept_each_its_own_device(serving: Serving, qtest: dict[str, Any]) -> None:
    async with serving(qtest=qtest) as served, client(served) as outputs, client(served) as inputs:
        await outputs.ask(*ENABLE, INTERCEPT)
        assert await inputs.ask("irq_intercept_in device[2]") == ["OK"]
        assert await outputs.ask(RAISE) == ["IRQ raise 0", "OK"]
        assert await inputs.line() == "IRQ raise 8"
        assert await inputs.ask(LOWER) == ["IRQ lower 8", "OK"]
        assert await outputs.line() == "IRQ lower 0"


async def test_what_others_cause_is_told_at_once_and_in_order(serving: Serving, qtest: dict[str, Any]) -> None:
    """By the wire's operations, VECTOR's among them, each before anything that is answered later."""
    async with serving(qtest=qtest) as served, client(served) as peer:
        wire = await served.connect(Role.CONTROL)
        await peer.ask(*ENABLE, INTERCEPT)
        await wire.line(40, 1)
        assert await peer.ask("endianness") == ["IRQ raise 0", "OK little"]
        assert await wire.read(0x0C, space=2) == 40
        assert await peer.line() == "IRQ lower 0"
        sgi = {"value": 0x2000003, "offset": 0xF00, "vcpu": 0, "operation": 0x41, "space": 1}
        acknowledge = {"value": 0, "offset": 0x0C, "vcpu": 0, "operation": 0x40, "space": 2}
        await wire.expect(Opcode.VECTOR, entries=[sgi, acknowledge])
        assert await peer.ask("endianness") == ["OK little"], "a VECTOR is told by what it leaves behind"


async def test_notices_stop_with_the_connection(serving: Serving, qtest: dict[str, Any]) -> None:
    async with serving(qtest=qtest) as served:
        hub = served.daemon.hub
        async with client(served) as peer, client(served) as other:
            await peer.ask(*ENABLE, INTERCEPT)
            await other.ask("irq_intercept_in device[2]")
            assert hub.armed
            assert not hub.debugged, "nobody's requests are served one by one for it"
            assert served.daemon.domain.vgic.watched == 1 << EventKind.LINE
        await served.until_connections(0)
        assert not hub.armed
        assert not served.daemon.domain.vgic.watched


async def test_a_reset_lowers_the_lines_of_those_who_watch(serving: Serving, qtest: dict[str, Any]) -> None:
    async with serving(qtest=qtest) as served, client(served) as peer:
        wire = await served.connect(Role.CONTROL)
        assert await peer.ask(*ENABLE, INTERCEPT, RAISE) == [*["OK"] * len(ENABLE), "OK", "IRQ raise 0", "OK"]
        await wire.expect(Opcode.RESET, config=None)
        assert await peer.line() == "IRQ lower 0"
        assert await peer.ask(f"readl {GICD:#x}") == ["OK 0x0000000000000000"]


async def test_after_a_reset_to_another_domain_its_devices_are_there(serving: Serving, qtest: dict[str, Any]) -> None:
    async with serving(qtest=qtest) as served, client(served) as peer:
        wire = await served.connect(Role.CONTROL)
        assert await peer.ask("irq_intercept_in device[4]") == ["FAIL Unknown device"]
        settings = served.daemon.domain.config
        fields = {name: getattr(settings, name) for name in settings.__dataclass_fields__} | {"vcpus": 4}
        await wire.expect(Opcode.RESET, config=fields)
        assert await peer.ask("irq_intercept_in device[4]", "vgicd_vcpu 3") == ["OK", "OK"]


# --- a guest that is held ---------------------------------------------------------------------------------------


async def test_a_frozen_guests_client_waits(serving: Serving, qtest: dict[str, Any], autojump_clock: MockClock) -> None:
    async with serving(qtest=qtest) as served, client(served) as peer:
        freeze = served.daemon.hub.freeze
        for mask, held, free in (
            (1, TYPER, RAISE),
            (REST, "clock_step 16", TYPER),
            (REST, LOWER, TYPER),
            (EVERYTHING, f"read {GICD:#x} 4", "endianness"),
        ):
            freeze.hold(HOLDER, mask)
            assert (await peer.ask(free))[-1].startswith("OK")
            order = served.daemon.domain.order
            await peer.send(held, free)
            await peer.silence()
            assert served.daemon.domain.order == order
            freeze.hold(HOLDER, 0)
            assert (await peer.line()).startswith("OK")
            assert (await peer.line()).startswith("OK")


async def test_the_answer_to_what_hit_a_breakpoint_is_withheld_and_nothing_overtakes_it(
    serving: Serving, qtest: dict[str, Any], autojump_clock: MockClock
) -> None:
    async with serving(qtest=qtest) as served, client(served) as peer:
        wire = await served.connect(Role.CONTROL)
        await peer.ask(*ENABLE, INTERCEPT)
        breakpoint_ = Breakpoint(served, [EventKind.ACCESS], mask=1)
        await peer.send(f"writel {GICD:#x} 1", TYPER)
        await peer.silence()
        await wire.line(40, 1)
        await peer.silence()
        breakpoint_.end()
        assert [await peer.line() for _ in range(3)] == ["OK", "IRQ raise 0", TWO_VCPUS]


async def test_a_held_client_is_not_late(serving: Serving, qtest: dict[str, Any], autojump_clock: MockClock) -> None:
    async with serving(qtest=qtest) as served, client(served) as peer:
        served.daemon.hub.freeze.hold(HOLDER, EVERYTHING)
        await peer.send_raw(f"{TYPER}\nreadl ".encode())
        await trio.sleep(30)
        served.daemon.hub.freeze.hold(HOLDER, 0)
        await peer.send_raw(b"0x8000004\n")
        assert [await peer.line(), await peer.line()] == [TWO_VCPUS, TWO_VCPUS]


# --- limits -----------------------------------------------------------------------------------------------------


async def test_a_client_may_think_as_long_as_it_likes(
    serving: Serving, qtest: dict[str, Any], autojump_clock: MockClock
) -> None:
    async with serving(qtest=qtest) as served, client(served) as peer:
        await trio.sleep(100)
        assert await peer.ask(TYPER) == [TWO_VCPUS]


async def test_a_line_must_be_finished_in_time(
    serving: Serving, qtest: dict[str, Any], autojump_clock: MockClock
) -> None:
    async with serving(qtest=qtest) as served, client(served) as peer:
        await peer.send_raw(b"endianness\nreadl 0x80")
        assert await peer.line() == "OK little"
        assert await peer.line() == "FAIL A line was not finished within 10 s."
        await peer.closed()


@pytest.mark.parametrize("finished", [True, False])
async def test_a_line_has_a_greatest_length(serving: Serving, qtest: dict[str, Any], finished: bool) -> None:
    async with serving(qtest=qtest, limits={"frame": 4096}) as served, client(served) as peer:
        assert await peer.ask("x" * 4096) == [f"FAIL Unknown command '{'x' * 4096}'"]
        await peer.send_raw(b"x" * 4097 + b"\n" * finished)
        assert await peer.line() == "FAIL A line has at most 4096 bytes."
        await peer.closed()


async def test_a_client_that_reads_nothing_is_closed(
    serving: Serving, qtest: dict[str, Any], autojump_clock: MockClock, logged: Logged
) -> None:
    async with serving(qtest=qtest) as served, client(served) as peer:
        with suppress(OSError), trio.fail_after(60):
            while True:
                await peer.send(*[TYPER] * 1000)
        await served.until_connections(0)
    assert [line["reason"] for line in logged("qtest.close")] == ["slow reader"]


async def test_one_that_leaves_its_notices_unread_costs_a_bounded_amount(
    serving: Serving, qtest: dict[str, Any], autojump_clock: MockClock, logged: Logged
) -> None:
    async with serving(qtest=qtest, limits={"reply_queue": 4096}) as served, client(served) as peer:
        wire = await served.connect(Role.GUEST)
        await peer.ask(*ENABLE, INTERCEPT)
        peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        (connection,) = (item for item in served.daemon.connections if item.session.kind == "qtest")
        longest = 0
        for _ in range(10_000):
            await wire.line(40, 1)
            await wire.read(0x0C, space=2)
            await wire.line(40, 0)
            await wire.write(0x10, 40, space=2)
            longest = max(longest, len(connection.session.out))
            if connection.session.closing:
                break
        assert connection.session.closing == "slow reader"
        assert longest <= 2 * 4096 + 64
        await served.until_connections(1)
    assert [line["reason"] for line in logged("qtest.close")] == ["slow reader"]


async def test_many_lines_in_one_write_are_answered_in_order_and_let_others_run(
    serving: Serving, qtest: dict[str, Any]
) -> None:
    async with serving(qtest=qtest) as served, client(served) as peer, client(served) as other:
        lines = [f"writel {GICD + 0x400:#x} {value << 3:#x}\nreadl {GICD + 0x400:#x}\n" for value in range(32)]
        await peer.send_raw("".join(lines * 20).encode())
        assert await other.ask(TYPER) == [TWO_VCPUS]
        for _ in range(20):
            for value in range(32):
                assert await peer.line() == "OK"
                assert await peer.line() == f"OK 0x{value << 3:016x}"


async def test_a_block_is_as_many_operations_as_it_takes(serving: Serving, qtest: dict[str, Any]) -> None:
    """Or a few lines, each a thousand accesses, would keep everybody else waiting."""
    async with serving(qtest=qtest) as served, client(served) as greedy, client(served) as other:
        await other.ask(TYPER)
        await greedy.send(*[f"read {GICD:#x} 4096"] * 30)
        assert await other.ask(TYPER) == [TWO_VCPUS]
        assert served.daemon.domain.order < 10 * 1024
        for _ in range(30):
            assert len(await greedy.line()) == len("OK 0x") + 2 * 4096


async def test_a_failure_of_ours_is_answered_and_logged_and_harms_nobody_else(
    serving: Serving, qtest: dict[str, Any], logged: Logged, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> bytes:
        raise ZeroDivisionError

    broken = {**commands.COMMANDS, b"endianness": commands.Command((), commands.Needs.NOTHING, fail)}
    monkeypatch.setattr(commands, "COMMANDS", broken)
    async with serving(qtest=qtest) as served, client(served) as peer:
        assert await peer.ask("endianness", TYPER) == ["FAIL The daemon failed; its log has the reason.", TWO_VCPUS]
    assert logged("request.failed")[0]["line"] == "endianness"


async def test_the_daemon_stops_after_answering_what_was_sent(serving: Serving, qtest: dict[str, Any]) -> None:
    async with serving(qtest=qtest) as served, client(served) as peer:
        await peer.ask(TYPER)
        await peer.send(*[TYPER] * 100)
        served.daemon.stop("test")
        assert [await peer.line() for _ in range(100)] == [TWO_VCPUS] * 100
        await peer.closed()
