"""Where the daemon listens, and what it does with a path that something is at already."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import pytest

from vgicd.config import Config, Listen
from vgicd.server import listeners
from vgicd.server.listeners import ListenError, Transport


def connects(path: Path, kind: int = socket.SOCK_STREAM) -> bool:
    with socket.socket(socket.AF_UNIX, kind) as sock:
        return sock.connect_ex(str(path)) == 0


@pytest.mark.parametrize("mode", [0o600, 0o660, 0o666])
def test_a_socket_has_its_permissions_whatever_the_umask(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "s"
    before = os.umask(0o077)
    try:
        listener = listeners.open_unix(path, mode)
        assert os.umask(0o077) == 0o077
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == mode
    assert listener.address == f"unix:{path}"
    listener.close()


@pytest.mark.parametrize(
    ("transport", "kind"), [(Transport.UNIX, socket.SOCK_STREAM), (Transport.SEQPACKET, socket.SOCK_SEQPACKET)]
)
def test_the_path_of_a_running_daemon_is_never_taken(tmp_path: Path, transport: Transport, kind: int) -> None:
    path = tmp_path / "s"
    first = listeners.open_unix(path, 0o660, transport)
    for wanted in (Transport.UNIX, Transport.SEQPACKET):
        with pytest.raises(ListenError, match="is held by a running daemon"):
            listeners.open_unix(path, 0o660, wanted)
    assert connects(path, kind)
    first.close()
    assert not path.exists()


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_SEQPACKET])
def test_the_socket_of_a_dead_daemon_is_replaced(tmp_path: Path, kind: int) -> None:
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX, kind) as dead:
        dead.bind(str(path))
    listener = listeners.open_unix(path, 0o660)
    assert connects(path)
    listener.close()


def test_a_file_is_never_replaced(tmp_path: Path) -> None:
    path = tmp_path / "s"
    path.write_text("precious")
    with pytest.raises(ListenError, match="is not a socket; it has not been touched"):
        listeners.open_unix(path, 0o660)
    assert path.read_text() == "precious"


def test_closing_leaves_a_path_that_has_become_another_socket(tmp_path: Path) -> None:
    path = tmp_path / "s"
    first = listeners.open_unix(path, 0o660)
    path.unlink()
    second = listeners.open_unix(path, 0o660)
    first.close()
    assert connects(path)
    second.close()


def test_a_path_that_does_not_fit_or_cannot_be_made_is_explained(tmp_path: Path) -> None:
    with pytest.raises(ListenError, match="longer than the 107 bytes"):
        listeners.open_unix(tmp_path / ("x" * 100) / "s", 0o660)
    with pytest.raises(ListenError, match="cannot be listened on: No such file or directory"):
        listeners.open_unix(tmp_path / "none" / "s", 0o660)


def test_all_or_none_is_opened(tmp_path: Path) -> None:
    config = Config(listen=Listen(unix=(str(tmp_path / "a"), str(tmp_path / "none" / "b"))))
    with pytest.raises(ListenError):
        listeners.open_listeners(config)
    assert not (tmp_path / "a").exists()


def test_the_default_path_has_the_name_of_the_domain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    (listener,) = listeners.open_listeners(Config(name="web"))
    assert listener.path == tmp_path / "vgicd" / "web.sock"
    assert stat.S_IMODE(listener.path.parent.stat().st_mode) == 0o750
    listener.close()
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert listeners.default_path("web") == Path("/run/vgicd/web.sock")


@pytest.mark.parametrize("address", ["127.0.0.1:0", "[::1]:0", "localhost:0"])
def test_tcp_is_opened_on_loopback(address: str) -> None:
    try:
        opened = listeners.open_tcp(address, tls=False)
    except ListenError as error:
        if "[::1]" in address and "Cannot assign" in str(error):
            pytest.skip("this machine has no IPv6 loopback")
        raise
    for listener in opened:
        assert listener.transport is Transport.TCP
        assert listener.address.startswith("tcp:")
        assert not listener.address.endswith(":0")
        listener.close()


@pytest.mark.parametrize("address", ["0.0.0.0:0", "[::]:0", "192.0.2.1:5555"])
def test_tcp_beyond_loopback_needs_tls(address: str) -> None:
    with pytest.raises(ListenError, match=r"not a loopback address; beyond loopback vgicd needs .* in \[tls\]"):
        listeners.open_tcp(address, tls=False)


def test_with_tls_tcp_may_go_beyond_loopback() -> None:
    (listener,) = listeners.open_tcp("0.0.0.0:0", tls=True)
    assert listener.transport is Transport.TLS
    listener.close()


@pytest.mark.parametrize("address", ["localhost", ":5555", "localhost:", "localhost:99999", "localhost:-1", "h:٣"])
def test_what_is_no_tcp_address_is_said_so(address: str) -> None:
    with pytest.raises(ListenError, match="is not HOST:PORT"):
        listeners.open_tcp(address, tls=False)


def test_an_ipv6_address_needs_brackets() -> None:
    with pytest.raises(ListenError, match="is ambiguous"):
        listeners.split_address("::1:5555")


def test_a_busy_port_is_explained() -> None:
    (first,) = listeners.open_tcp("127.0.0.1:0", tls=False)
    with pytest.raises(ListenError, match="cannot be listened on: Address already in use"):
        listeners.open_tcp(first.address.removeprefix("tcp:"), tls=False)
    first.close()


def test_only_listening_sockets_are_adopted() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, pytest.raises(ListenError, match="does not listen"):
        listeners.adopt(ours, tls=False)
