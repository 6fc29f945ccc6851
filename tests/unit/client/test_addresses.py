"""Addresses are understood in three forms and refused with the reason."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from vgicd_client import mi_calls
from vgicd_client.addresses import PATH_LIMIT, Address, open_socket, parse, parse_gdb
from vgicd_client.ctl.gdb import options
from vgicd_client.errors import AddressError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("unix:/run/a.sock", Address("unix", path="/run/a.sock")),
        ("unix:relative", Address("unix", path="relative")),
        ("/run/a.sock", Address("unix", path="/run/a.sock")),
        ("./a:b", Address("unix", path="./a:b")),
        ("seqpacket:/run/a", Address("seqpacket", path="/run/a")),
        ("tcp:localhost:7070", Address("tcp", host="localhost", port=7070)),
        ("tcp:[::1]:1", Address("tcp", host="::1", port=1)),
    ],
)
def test_an_address_is_understood(text: str, expected: Address) -> None:
    assert parse(text) == expected
    assert parse(str(expected)) == expected, "and reads back from its own text"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is not an address"),
        ("vsock:3:7", "is not an address"),
        ("name", "is not an address"),
        ("unix:", "names no path"),
        ("seqpacket:", "names no path"),
        ("unix:a\0b", "NUL"),
        ("unix:/" + "x" * PATH_LIMIT, "at most 107"),
        ("unix:/" + "ü" * (PATH_LIMIT // 2 + 1), "bytes long"),
        ("tcp:7070", "lacks a host or a port"),
        ("tcp:host", "lacks a host or a port"),
        ("tcp::7070", "lacks a host or a port"),
        ("tcp:host:0", "is not a port"),
        ("tcp:host:65536", "is not a port"),
        ("tcp:host:http", "is not a port"),
        ("tcp:host:٣", "is not a port"),
        ("tcp:::1:7070", "in brackets"),
        ("tcp:[::1:7070", "in brackets"),
    ],
)
def test_what_is_no_address_is_refused_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(AddressError, match=reason):
        parse(text)


@pytest.mark.parametrize(
    ("text", "remote"),
    [
        ("w.gdb", "HERE/w.gdb"),
        ("./w.gdb", "HERE/w.gdb"),
        ("sub/w.gdb", "HERE/sub/w.gdb"),
        ("odd:7", "HERE/odd:7"),
        ("/run/w.gdb", "/run/w.gdb"),
        ("unix:w.gdb", "HERE/w.gdb"),
        ("localhost:7000", "tcp:localhost:7000"),
        ("[::1]:7000", "tcp:[::1]:7000"),
        ("tcp:127.0.0.1:7000", "tcp:127.0.0.1:7000"),
    ],
)
def test_a_gdb_server_is_named_as_gdb_takes_it(
    text: str, remote: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("odd:7").touch()
    here = os.getcwd()
    assert mi_calls.remote_of(text) == remote.replace("HERE", here)
    shown = options(parse_gdb(text), None)[-1]
    assert shown == "target remote " + remote.replace("HERE", here).removeprefix("tcp:")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "a path, HOST:PORT or unix:PATH"),
        ("odd:name", "'name' is not a port"),
        ("tcp:7000", "lacks a host or a port"),
        ("unix:", "names no path"),
        ("seqpacket:/run/a", "gdb speaks over unix:PATH or tcp:HOST:PORT"),
        ("a\nb", "more than one line"),
    ],
)
def test_what_is_no_gdb_server_is_refused_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(AddressError, match=reason):
        mi_calls.remote_of(text)


def test_tcp_is_opened_without_delay() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with open_socket(parse(f"tcp:127.0.0.1:{port}"), 5) as client:
            assert client.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            assert client.gettimeout() is None
