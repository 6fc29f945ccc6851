"""The systemd units, and the daemon under a stand-in for the service manager."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tools import require_tool

from .test_cli import PATIENCE, connected

UNITS = Path(__file__).resolve().parents[2] / "systemd"
VGICD = Path(sys.executable).with_name("vgicd")


@pytest.fixture(scope="module", autouse=True)
def systemd() -> None:
    """It judges the units, and opens sockets as its manager does."""
    require_tool("systemd-analyze", "systemd")
    require_tool("systemd-socket-activate", "systemd")


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """The units as installed, with the daemon where it is here."""
    folder = tmp_path / "units"
    folder.mkdir()
    for unit in UNITS.iterdir():
        folder.joinpath(unit.name).write_text(unit.read_text().replace("/usr/bin/vgicd", str(VGICD)))
    return folder


def test_systemd_finds_nothing_to_complain_about(units: Path) -> None:
    checked = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *map(str, sorted(units.iterdir()))],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


def test_the_service_is_hardly_exposed(units: Path) -> None:
    shown = subprocess.run(
        ["systemd-analyze", "security", "--offline=yes", "--no-pager", str(units / "vgicd@.service")],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    ).stdout
    found = re.search(r"Overall exposure level for \S+: ([0-9.]+)", shown)
    assert found is not None
    assert float(found[1]) <= 1.0


def test_user_ids_of_peers_stay_visible() -> None:
    """In a user namespace SO_PEERCRED shows every foreign uid as 65534, and access rules could not tell peers apart."""
    assert "\nPrivateUsers=no\n" in (UNITS / "vgicd@.service").read_text()


@pytest.mark.parametrize(("flags", "kind"), [([], socket.SOCK_STREAM), (["--seqpacket"], socket.SOCK_SEQPACKET)])
def test_sockets_come_from_systemd_and_stay_when_the_daemon_stops(tmp_path: Path, flags: list[str], kind: int) -> None:
    path = tmp_path / "s"
    command = ["systemd-socket-activate", *flags, "--listen", str(path), str(VGICD), "serve"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE)
    try:
        assert process.stderr is not None
        assert b"Listening on" in process.stderr.readline()
        with connected(path, kind) as peer:
            process.send_signal(signal.SIGTERM)
            assert peer.recv(65536)[5] == 0x83
        assert process.wait(PATIENCE) == 0
        assert path.exists(), "the path belongs to systemd"
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def test_the_manager_is_told_ready_alive_and_stopping(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(PATIENCE)
        environment = {**os.environ, "NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "60000"}
        process = subprocess.Popen(
            [VGICD, "serve", "--unix", str(tmp_path / "s"), "--name", "web"], env=environment, stderr=subprocess.DEVNULL
        )
        try:
            first = manager.recv(4096).decode().split("\n")
            while first[0] == "WATCHDOG=1":
                first = manager.recv(4096).decode().split("\n")
            assert first == ["READY=1", f"STATUS=Serving web on unix:{tmp_path / 's'}"]
            connected(tmp_path / "s").close()
            assert [manager.recv(4096) for _ in range(3)] == [b"WATCHDOG=1"] * 3
            process.send_signal(signal.SIGSTOP)  # a loop that does not turn is silent
            manager.settimeout(0.2)
            silent_after = 0
            try:
                while silent_after < 20:
                    manager.recv(4096)
                    silent_after += 1
            except TimeoutError:
                pass
            assert silent_after < 20
            manager.settimeout(PATIENCE)
            process.send_signal(signal.SIGCONT)
            assert manager.recv(4096) == b"WATCHDOG=1"
            process.terminate()
            while (message := manager.recv(4096)) == b"WATCHDOG=1":
                pass
            assert message.startswith(b"STOPPING=1\n")
            assert process.wait(PATIENCE) == 0
        finally:
            if process.poll() is None:
                process.kill()
                process.wait(PATIENCE)
