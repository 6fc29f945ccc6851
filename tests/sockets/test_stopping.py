"""How the daemon stops: what was asked is answered, everybody is told, and it does not take for ever."""

from __future__ import annotations

import signal
import socket
from pathlib import Path

import pytest
import trio
import trio.lowlevel
from trio.testing import MockClock

from vgicd import config
from vgicd.config import Config
from vgicd.server import daemon
from vgicd.server.listeners import Listener, open_listeners
from vgicd_protocol import framing, messages
from vgicd_protocol.errors import Status
from vgicd_protocol.frames import Opcode, Role

from .conftest import Serving


async def test_what_was_received_is_answered_and_the_last_frame_says_goodbye(serving: Serving) -> None:
    async with serving() as served:
        peer = await served.connect(Role.GUEST)
        requests = framing.hot_request(Opcode.READ, 1, 0, 4, 1, 4) * 3000
        peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 400_000)
        assert await peer.sock.send(requests) == len(requests)
        served.daemon.stop("test")
        assert [(await peer.receive()).order for _ in range(3000)] == list(range(1, 3001))
        last = await peer.receive()
        assert (last.opcode, last.request_id, last.status) == (Opcode.BYE, 0, Status.OK)
        await peer.closed()


async def test_waits_are_answered_before_the_goodbye(serving: Serving) -> None:
    async with serving() as served:
        peer = await served.connect(Role.GUEST)
        body = messages.build_request(Opcode.WAIT, {"outputs": 1, "milliseconds": 60_000})
        await peer.send(framing.request(Opcode.WAIT, 5, body))
        await peer.expect(Opcode.PING)
        served.daemon.stop("test")
        first, last = await peer.receive(), await peer.receive()
        assert (first.opcode, first.status) == (Opcode.WAIT, Status.TIMEOUT)
        assert last.opcode == Opcode.BYE


async def test_nobody_is_accepted_any_more_and_the_sockets_are_gone(serving: Serving) -> None:
    async with serving() as served:
        peer = await served.connect(Role.GUEST)
        served.daemon.stop("test")
        await peer.receive()
        assert not served.path.exists()
        assert not served.path.with_suffix(".packet").exists()


async def test_a_peer_that_does_not_read_holds_the_daemon_up_for_the_drain_time_only(
    serving: Serving, autojump_clock: MockClock
) -> None:
    async with serving(limits={"write_seconds": 1000.0, "drain_seconds": 2.0}) as served:
        deaf, good = await served.connect(Role.CONTROL), await served.connect(Role.CONTROL)
        with trio.move_on_after(1):
            while True:
                await deaf.send(framing.request(Opcode.SNAPSHOT, 1) * 64)
        start = trio.current_time()
        served.daemon.stop("test")
        assert (await good.receive()).opcode == Opcode.BYE
        await good.closed()
        await served.until_connections(0)
        assert trio.current_time() - start <= 2.1


async def test_a_peer_in_the_middle_of_a_frame_is_told_too(serving: Serving) -> None:
    async with serving() as served:
        peer = await served.connect(Role.GUEST)
        await peer.send(framing.hot_request(Opcode.WRITE, 1, 0, 4, 1, 0, 1)[:20])
        await trio.lowlevel.checkpoint()
        served.daemon.stop("test")
        assert (await peer.receive()).opcode == Opcode.BYE
        assert served.daemon.domain.order == 0


async def test_stopping_twice_is_stopping_once(serving: Serving) -> None:
    async with serving() as served:
        served.daemon.stop("test")
        served.daemon.stop("test")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_while_the_daemon_starts_leaves_no_socket_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    path = tmp_path / "vgicd.sock"
    existed = []

    def open_and_be_told_to_stop(configuration: Config) -> list[Listener]:
        opened = open_listeners(configuration)
        existed.append(path.exists())
        signal.raise_signal(number)
        return opened

    def too_early(*_: object) -> None:
        raise AssertionError("the daemon does not expect signals yet")

    before = signal.signal(number, too_early)
    monkeypatch.setattr(daemon, "open_listeners", open_and_be_told_to_stop)
    try:
        daemon.run(config.parse({"listen": {"unix": [str(path)]}}, "test"))
    finally:
        signal.signal(number, before)
    assert existed == [True]
    assert not path.exists()
