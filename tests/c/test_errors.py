"""What can go wrong between the C client and a daemon: one result, one sentence, and it stays."""

from __future__ import annotations

import os
import signal
import socket
import time
from contextlib import suppress
from pathlib import Path

import pytest

from tests.c.harness import FOREIGN, INVALID, LOST, OK, PATIENCE, REFUSED, Driver, FakeServer, reply
from vgicd_client import Client, PrivateDaemon, ProtocolError, Status, connect, private_daemon
from vgicd_protocol.errors import SENTENCES
from vgicd_protocol.frames import FRAME_LIMIT, Opcode, Role

READ = ("read", 0, 1, 4, 4)
EVERY_CALL = (
    *("write 0 1 0 4 0", "peek 0 1 4 4", "line 40 65535 1", "pulse 40 65535", "vector l:40:65535:1", "wait 0 0"),
    *("subscribe 1", "poll 0", "change 0", "ping", "reset", "power 0 1", "time 1", "mode 1", "enter 0", "exit 0"),
    "raw 2 0",
)


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("nonsense", "is not an address: write unix:PATH, seqpacket:PATH or tcp:HOST:PORT"),
        ("udp:host:1", "is not an address"),
        ("unix:", "names no path"),
        ("unix:/" + "x" * 120, "has at most 107 bytes, not 121"),
        ("tcp:7070", "lacks a host or a port"),
        ("tcp::7070", "lacks a host or a port"),
        ("tcp:::1:7070", "in brackets"),
        ("tcp:[::1:7070", "in brackets"),
        ("tcp:[::1]x:7070", "in brackets"),
        ("tcp:localhost:0", "a number from 1 to 65535"),
        ("tcp:localhost:65536", "a number from 1 to 65535"),
        ("tcp:localhost:7x", "a number from 1 to 65535"),
        ("tcp:localhost:-1", "a number from 1 to 65535"),
        ("tcp:" + "h" * 300 + ":1", "the host is too long"),
    ],
)
def test_an_address_that_names_no_socket_is_refused_with_the_reason(driver: Driver, address: str, words: str) -> None:
    answer = driver("connect", address)
    assert answer.result == INVALID
    assert words in answer.error
    assert driver("ping").result == LOST


def test_nobody_at_an_address_is_said_with_what_to_do(driver: Driver, tmp_path: Path) -> None:
    absent = driver("connect", f"unix:{tmp_path}/none")
    assert (absent.result, absent.maybe_applied) == (LOST, False)
    assert absent.error.startswith(f"unix:{tmp_path}/none: cannot connect: ")
    assert absent.error.endswith("no daemon listens there: start one with `vgicd serve`")
    again = driver(*READ)
    assert (again.result, again.error) == (LOST, absent.error)
    dead = tmp_path / "dead"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(dead))
    assert driver("connect", dead).error.endswith("no daemon listens there")
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        port = reserved.getsockname()[1]
        for host in ("127.0.0.1", "[::1]"):
            answer = driver("connect", f"tcp:{host}:{port}")
            assert (answer.result, "cannot connect" in answer.error) == (LOST, True)


def test_the_home_directory_is_understood(tmp_path: Path, program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    with Driver(program, FOREIGN[:-1]) as driver, FakeServer(tmp_path / "fake") as server:
        driver.send("connect", "unix:~/fake")
        server.accept()
        server.hang_up()
        assert driver.answer().result == LOST


def test_a_first_call_says_to_connect(driver: Driver) -> None:
    answer = driver(*READ)
    assert (answer.result, answer.error) == (LOST, "not connected yet: vgicd_connect() first")


@pytest.mark.parametrize(
    ("role", "features", "name", "words"),
    [(4, 0, "x", "4 is not a role"), (0, 0, "n" * 65, "at most 64 printable"), (0, 0, "é", "at most 64 printable")],
)
def test_wrong_options_are_refused_before_anything_is_sent(
    driver: Driver, daemon: PrivateDaemon, role: int, features: int, name: str, words: str
) -> None:
    answer = driver("connect", daemon.address, role, features, 0, 0, name)
    assert (answer.result, words in answer.error) == (INVALID, True)


def test_a_role_that_the_daemon_does_not_give_is_refused_with_its_sentence(
    driver: Driver, daemon: PrivateDaemon
) -> None:
    denied = driver("connect", daemon.listening("tcp"), Role.CONTROL, 0, 0, 0)
    assert (denied.result, denied.status) == (REFUSED, Status.DENIED)
    assert "role" in denied.error
    later = driver("ping")
    assert (later.result, later.error) == (LOST, denied.error)


def test_an_unknown_feature_is_unsupported(driver: Driver, daemon: PrivateDaemon) -> None:
    answer = driver("connect", daemon.address, 0, 1 << 7, 0, 0)
    assert (answer.result, answer.status) == (REFUSED, Status.UNSUPPORTED)
    assert driver("connect", daemon.address, 0, 1, 0, 0, "n" * 64).result == OK


def test_a_killed_daemon_ends_the_call_that_runs_and_every_later_one(driver: Driver) -> None:
    with private_daemon() as daemon:
        driver.connect(daemon.address)
        driver.ok(*READ)
        driver.send("wait", 0, 60_000)
        os.kill(daemon.pid, signal.SIGKILL)
        lost = driver.answer()
        assert lost.result == LOST
        assert "the connection" in lost.error
        later = driver(*READ)
        assert (later.result, later.maybe_applied, later.error) == (LOST, False, lost.error)
        for call in EVERY_CALL:
            assert driver(*call.split()).result == LOST


def test_a_daemon_that_stops_says_so(driver: Driver) -> None:
    with private_daemon() as daemon:
        driver.connect(daemon.address)
        daemon.process.terminate()
        daemon.process.wait(30)
        assert driver("poll", -1).result in (OK, LOST)  # its BYE, and then or at once its end
        assert driver("poll", -1).result == LOST
        assert driver("ping").error.endswith("the daemon has stopped")


def test_a_request_into_a_closed_connection_raises_no_signal(driver: Driver, server: FakeServer) -> None:
    assert server.welcome(driver).result == OK
    server.hang_up()
    lost = driver(*READ)
    assert (lost.result, lost.maybe_applied) == (LOST, False)
    assert driver("vector", *["l:40:65535:1"] * 1024).result == LOST


def impatient(driver: Driver, server: FakeServer, milliseconds: int) -> None:
    """Connect with a time limit that HELLO itself may miss where the machine is busy: it then tries again."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            connected = server.welcome(driver, timeout_ms=milliseconds).result == OK
        except ConnectionError:
            connected = driver.answer().result == OK
        if connected:
            return
        assert time.monotonic() < deadline


def test_a_hello_without_an_answer_has_applied_nothing(driver: Driver, server: FakeServer) -> None:
    driver.send("connect", server.address, 0, 0, 50, 0)
    lost = driver.answer()
    assert (lost.result, lost.maybe_applied) == (LOST, False)
    assert lost.error.endswith("no reply within 50 ms")
    assert driver.ok("info").extra.split()[:10] == ["0"] * 10, "nothing has been said"


def test_no_reply_in_time_ends_the_connection(driver: Driver, server: FakeServer) -> None:
    impatient(driver, server, 30)
    lost = driver(*READ)
    assert (lost.result, lost.maybe_applied) == (LOST, True)
    assert lost.error.endswith("no reply within 30 ms")


def test_a_wait_has_its_own_time_and_the_replys_on_top(driver: Driver, server: FakeServer) -> None:
    impatient(driver, server, 20)
    lost = driver("wait", 1, 40)
    assert lost.error.endswith("no reply within 60 ms")


def test_whether_a_lost_request_may_have_been_applied_is_known(driver: Driver, server: FakeServer) -> None:
    assert server.welcome(driver).result == OK
    driver.send(*READ)
    server.frame()
    server.hang_up()
    lost = driver.answer()
    assert (lost.result, lost.maybe_applied) == (LOST, True)
    assert lost.error == f"{server.address}: the daemon closed the connection"


def test_a_reply_that_trickles_without_end_is_timed_as_well(driver: Driver, server: FakeServer) -> None:
    impatient(driver, server, 30)
    driver.send(*READ)
    server.frame()
    server.send(reply(Opcode.READ, 2, length=FRAME_LIMIT))
    while not driver.has_answered(0.001):
        with suppress(BrokenPipeError):  # the client has just gone
            server.send(b"\0")
    lost = driver.answer()
    assert (lost.result, lost.error.endswith("no reply within 30 ms")) == (LOST, True)


def test_a_server_that_takes_nothing_is_timed_as_well(driver: Driver, server: FakeServer) -> None:
    """RESTORE's body is longer than any socket's buffer."""
    impatient(driver, server, 50)
    lost = driver("raw", Opcode.RESTORE, 0, "00" * 400_000)
    assert (lost.result, lost.maybe_applied) == (LOST, True)
    assert lost.error.endswith("the daemon took no request within 50 ms")


def test_a_full_backlog_ends_the_connecting(driver: Driver, tmp_path: Path) -> None:
    path = tmp_path / "full"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(0)
        with socket.socket(socket.AF_UNIX) as other:
            other.connect(str(path))
            for microseconds in (0, 1000):  # a timer whose signals interrupt the wait does not begin it anew
                driver.ok("interrupt", microseconds)
                answer = driver("connect", f"unix:{path}", 0, 0, 50, 0)
                driver.ok("interrupt", 0)
                assert (answer.result, answer.maybe_applied) == (LOST, False)
                assert "cannot connect" in answer.error


def test_too_many_connections_are_told_by_the_daemon(driver: Driver) -> None:
    with private_daemon("--set=limits.connections=1") as daemon, the_only_one(daemon):
        answer = driver("connect", daemon.address)
        assert (answer.result, answer.status, answer.maybe_applied) == (REFUSED, Status.BUSY, False)
        words = "the daemon ended the connection: 1 connections are open, which is the limit."
        assert answer.error == f"{daemon.address}: {words}"
        later = driver("ping")
        assert (later.result, later.error) == (LOST, answer.error)


def the_only_one(daemon: PrivateDaemon) -> Client:
    """The one connection that the daemon allows, once it has noticed that its predecessor is closed."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return connect(daemon.address)
        except ProtocolError:
            assert time.monotonic() < deadline


def test_every_result_and_status_has_its_words(driver: Driver) -> None:
    texts = [driver("strerror", hex(number & 0xFFFF_FFFF)).extra for number in range(1, -8, -1)]
    assert len(set(texts)) == len(texts)
    assert texts[-1] == "no result of this library"
    assert {status: driver("status", int(status)).extra for status in SENTENCES} == SENTENCES
    assert driver("status", 0x7777).extra.startswith("A status that this version")
