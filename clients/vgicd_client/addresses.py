"""Where a daemon listens: `unix:PATH`, `seqpacket:PATH` or `tcp:HOST:PORT`."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from vgicd_client.errors import AddressError

PATH_LIMIT: Final = 107  # bytes of sun_path without the closing NUL
"""The longest path a UNIX socket can have, in bytes."""


_TRANSPORTS: Final = ("unix", "seqpacket", "tcp")


@dataclass(frozen=True, slots=True)
class Address:
    """A checked address. `path` is set for UNIX sockets, `host` and `port` for TCP."""

    transport: Literal["unix", "seqpacket", "tcp"]
    path: str = ""
    host: str = ""
    port: int = 0

    @property
    def kind(self) -> socket.SocketKind:
        """SOCK_STREAM or SOCK_SEQPACKET."""
        return socket.SOCK_SEQPACKET if self.transport == "seqpacket" else socket.SOCK_STREAM

    def __str__(self) -> str:
        if self.transport != "tcp":
            return f"{self.transport}:{self.path}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"tcp:{host}:{self.port}"


def parse(text: str | Address) -> Address:
    """The address that `text` names; raises `AddressError` with the reason when it names none.

    A bare path (one with a slash) means `unix:PATH`.  IPv6 hosts are written in brackets: `tcp:[::1]:7070`.
    """
    if isinstance(text, Address):
        return text
    transport, colon, rest = text.partition(":")
    if "/" in transport or (not colon and text.startswith(".")):
        transport, rest = "unix", text
    match transport:
        case "unix" | "seqpacket":
            return Address(transport, path=_path(rest, text))
        case "tcp":
            return _tcp(rest, text)
    raise AddressError(f"{text!r} is not an address: write unix:PATH, seqpacket:PATH or tcp:HOST:PORT")


def parse_gdb(text: str | Address) -> Address:
    """The gdb server that `text` names, as `target remote` of gdb takes it: a path, HOST:PORT, or as for `parse`.

    What has no ":", or is there as a file, is a path.  Raises `AddressError` with the reason when it is none of these.
    """
    if isinstance(text, Address):
        return text
    transport, colon, _ = text.partition(":")
    if text and (not colon or (transport not in _TRANSPORTS and os.path.exists(text))):
        return Address("unix", path=_path(text, text))
    try:
        where = parse(text if "/" in text or transport in _TRANSPORTS else f"tcp:{text}")
    except AddressError as error:
        raise AddressError(f"{text!r} is no address of a gdb server, a path, HOST:PORT or unix:PATH: {error}") from None
    if where.transport == "seqpacket":
        raise AddressError(f"{text!r}: gdb speaks over unix:PATH or tcp:HOST:PORT")
    return where


def _path(path: str, text: str) -> str:
    if not path:
        raise AddressError(f"{text!r} names no path: write {text.partition(':')[0]}:PATH")
    if "\0" in path:
        raise AddressError(f"{text!r} has a NUL byte in its path")
    if (length := len(os.fsencode(path))) > PATH_LIMIT:
        raise AddressError(f"{path!r} is {length} bytes long; a UNIX socket's path has at most {PATH_LIMIT}")
    return str(Path(path).expanduser()) if path.startswith("~") else path


def _tcp(rest: str, text: str) -> Address:
    host, colon, port = rest.rpartition(":")
    if not colon or not host:
        raise AddressError(f"{text!r} lacks a host or a port: write tcp:HOST:PORT")
    if host.startswith("[") != host.endswith("]") or (":" in host and not host.startswith("[")):
        raise AddressError(f"{text!r}: an IPv6 host is written in brackets, as in tcp:[::1]:7070")
    if not (port.isascii() and port.isdigit()) or not 1 <= int(port) <= 0xFFFF:
        raise AddressError(f"{text!r}: {port!r} is not a port; it is a number from 1 to 65535")
    return Address("tcp", host=host.strip("[]"), port=int(port))


def open_socket(address: Address, timeout: float | None) -> socket.socket:
    """A connected blocking socket. Raises `OSError`, as the operating system words it."""
    if address.transport == "tcp":
        sock = socket.create_connection((address.host, address.port), timeout)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    else:
        sock = socket.socket(socket.AF_UNIX, address.kind)
        try:
            sock.settimeout(timeout)
            sock.connect(address.path)
        except BaseException:
            sock.close()
            raise
    sock.settimeout(None)
    return sock
