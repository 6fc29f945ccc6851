"""The two interfaces to systemd, against a stand-in for the service manager."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from vgicd.server.systemd import Notifier, take_sockets


def manager(address: str) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    sock.bind(address)
    sock.settimeout(5)
    return sock


def test_without_systemd_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LISTEN_PID", "LISTEN_FDS", "NOTIFY_SOCKET", "WATCHDOG_USEC"):
        monkeypatch.delenv(name, raising=False)
    assert take_sockets() == []
    notifier = Notifier()
    notifier.notify(READY=1)
    assert notifier.watchdog_seconds is None


def test_states_are_sent_as_assignments_in_one_datagram(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with manager(str(tmp_path / "n")) as sock:
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "n"))
        Notifier().notify(READY=1, STATUS="Serving a, b")
        assert sock.recv(1000) == b"READY=1\nSTATUS=Serving a, b"
    assert "NOTIFY_SOCKET" not in os.environ


def test_an_abstract_address_begins_with_an_at_sign(monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"vgicd-test-{os.getpid()}"
    with manager("\0" + name) as sock:
        monkeypatch.setenv("NOTIFY_SOCKET", "@" + name)
        Notifier().notify(STOPPING=1)
        assert sock.recv(1000) == b"STOPPING=1"


def test_a_manager_that_is_gone_is_an_oserror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "none"))
    with pytest.raises(OSError):
        Notifier().notify(READY=1)


@pytest.mark.parametrize(
    ("pid", "seconds"), [(str(os.getpid()), 3.0), ("", 3.0), ("1", None)], ids=["ours", "anyone's", "another's"]
)
def test_the_watchdog_is_ours_only_if_it_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pid: str, seconds: float | None
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "n"))
    monkeypatch.setenv("WATCHDOG_USEC", "3000000")
    monkeypatch.setenv("WATCHDOG_PID", pid)
    assert Notifier().watchdog_seconds == seconds


def test_sockets_for_another_process_are_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LISTEN_PID", "1")
    monkeypatch.setenv("LISTEN_FDS", "1")
    assert take_sockets() == []
    assert "LISTEN_FDS" not in os.environ
