"""Listeners: the sockets on which the daemon is reached.

A UNIX path that a live daemon holds is never taken from it: the path is probed by connecting, and only a socket that
refuses, which nobody listens on, is replaced.  On close a path is removed only if it is still the socket we made.
TCP is bound to loopback addresses only; any other needs TLS with client certificates.
"""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
import stat
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Final

from vgicd.config import Config
from vgicd.server import systemd

_BACKLOG: Final = 128
_MAX_UNIX_PATH: Final = 107  # sun_path less its terminating zero


class ListenError(Exception):
    """An address that cannot be listened on; its text is one sentence. No socket is left open."""


class AddressError(ListenError):
    """An address that is wrong wherever and whenever the daemon is started."""


class Transport(Enum):
    """How frames travel; the values are the scheme names of addresses."""

    UNIX = "unix"
    SEQPACKET = "seqpacket"
    TCP = "tcp"
    TLS = "tls"


@dataclass(frozen=True, slots=True)
class Listener:
    """A listening socket, its transport and its address as clients write it."""

    sock: socket.socket
    transport: Transport
    address: str
    path: Path | None = None  # of a socket that we made and shall remove
    inode: tuple[int, int] = (0, 0)

    def close(self) -> None:
        """Stop listening, and remove the path unless someone has put another socket there."""
        self.sock.close()
        if self.path is None:
            return
        try:
            status = self.path.lstat()
            if (status.st_dev, status.st_ino) == self.inode:
                self.path.unlink()
        except FileNotFoundError:
            pass  # removed by someone else: what we wanted


def default_path(name: str) -> Path:
    """Where domain `name` is found when nothing else is said."""
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if os.geteuid() == 0 or not runtime:
        return Path("/run/vgicd") / f"{name}.sock"
    return Path(runtime) / "vgicd" / f"{name}.sock"


def open_listeners(config: Config) -> list[Listener]:
    """Open what systemd passes and `config.listen` names; with neither, the default path.

    ListenError if any of them cannot be opened; then none is left open.
    """
    opened: list[Listener] = []
    try:
        for passed in systemd.take_sockets():
            opened.append(adopt(passed.sock, tls=config.tls.enabled))
        listen = config.listen
        mode = config.access.socket_mode
        for path in listen.unix:
            opened.append(open_unix(Path(path), mode))
        for path in listen.unixpacket:
            opened.append(open_unix(Path(path), mode, Transport.SEQPACKET))
        for address in listen.tcp:
            opened += open_tcp(address, tls=config.tls.enabled)
        if not opened:
            default = default_path(config.name)
            make_directory(default.parent)
            opened.append(open_unix(default, mode))
    except (ListenError, OSError) as error:
        for listener in opened:
            listener.close()
        if isinstance(error, OSError):
            raise ListenError(f"The sockets passed by systemd cannot be used: {error.strerror}.") from error
        raise
    return opened


def make_directory(directory: Path) -> None:
    """See that there is `directory`, for a default path. ListenError if it cannot be made."""
    try:
        directory.mkdir(mode=0o750, parents=True, exist_ok=True)
    except OSError as error:
        raise ListenError(f"{directory} cannot be made: {error.strerror}; name a socket with --unix PATH.") from None


def open_unix(path: Path, mode: int, transport: Transport = Transport.UNIX) -> Listener:
    """Listen at `path` with permissions `mode`. ListenError if it is taken, too long or not to be created."""
    check_path(path)
    kind = socket.SOCK_SEQPACKET if transport is Transport.SEQPACKET else socket.SOCK_STREAM
    sock = socket.socket(socket.AF_UNIX, kind | socket.SOCK_CLOEXEC)
    try:
        sock.setblocking(False)
        if not _bind_unix(sock, path, mode):
            _remove_stale(path)
            _bind_unix(sock, path, mode, again=True)
        status = path.lstat()
        sock.listen(_BACKLOG)
    except BaseException as error:
        sock.close()
        if isinstance(error, OSError):
            raise ListenError(f"{path} cannot be listened on: {error.strerror}.") from None
        raise
    return Listener(sock, transport, f"{transport.value}:{path}", path, (status.st_dev, status.st_ino))


def _bind_unix(sock: socket.socket, path: Path, mode: int, *, again: bool = False) -> bool:
    """Bind with `mode` from the first moment on; False, or ListenError the second time, if something is at `path`."""
    before = os.umask(0o777 & ~mode)
    try:
        sock.bind(os.fspath(path))
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        if again:
            raise ListenError(f"{path} was taken by another process just now.") from None
        return False
    finally:
        os.umask(before)
    return True


def _remove_stale(path: Path) -> None:
    """Remove the socket that a dead daemon left at `path`; ListenError if it is alive or no socket."""
    if not stat.S_ISSOCK(path.lstat().st_mode):
        raise ListenError(f"{path} exists and is not a socket; it has not been touched.")
    for kind in (socket.SOCK_STREAM, socket.SOCK_SEQPACKET):
        with socket.socket(socket.AF_UNIX, kind | socket.SOCK_CLOEXEC) as probe:
            probe.setblocking(False)
            result = probe.connect_ex(os.fspath(path))
        match result:
            case errno.ECONNREFUSED:
                path.unlink(missing_ok=True)
                return
            case errno.ENOENT:
                return
            case errno.EPROTOTYPE:
                continue  # alive or dead, but of the other kind
            case 0 | errno.EAGAIN:
                break
            case _:
                raise ListenError(f"{path} is held by a socket that cannot be probed: {os.strerror(result)}.")
    raise ListenError(f"{path} is held by a running daemon; stop that one or name another path.")


def check_addresses(config: Config) -> None:
    """AddressError for whatever of `config.listen` cannot be right; ListenError for a host that is unknown here."""
    for path in config.listen.unix + config.listen.unixpacket:
        check_path(Path(path))
    for address in config.listen.tcp:
        resolve(address, tls=config.tls.enabled)


def check_path(path: Path) -> None:
    """AddressError if `path` is longer than a socket's may be."""
    if len(os.fsencode(path)) > _MAX_UNIX_PATH:
        raise AddressError(f"{path} is longer than the {_MAX_UNIX_PATH} bytes that a UNIX socket's path may have.")


_BEYOND: Final = "beyond loopback vgicd needs certificate, key and client_ca in [tls] of its configuration."


def resolve(address: str, *, tls: bool, beyond: str = _BEYOND) -> list[tuple[int, object]]:
    """The family and the socket address of everything that `address` means; loopback only unless `tls`.

    `beyond` is what an AddressError then says of addresses that are not loopback's.
    """
    host, port = split_address(address)
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except socket.gaierror as error:
        raise ListenError(f"{address}: the host cannot be resolved: {error.strerror}.") from None
    if not tls:
        for *_, target in found:
            if not ipaddress.ip_address(str(target[0]).partition("%")[0]).is_loopback:
                raise AddressError(f"{address} is not a loopback address; {beyond}")
    return list(dict.fromkeys((int(family), target) for family, *_, target in found))


def open_tcp(address: str, *, tls: bool, beyond: str = _BEYOND) -> list[Listener]:
    """Listen on every address that `HOST:PORT` resolves to (`[::1]:PORT` for IPv6; port 0 lets the system choose)."""
    targets = resolve(address, tls=tls, beyond=beyond)
    opened: list[Listener] = []
    try:
        for family, target in targets:
            opened.append(_listen_tcp(family, target, Transport.TLS if tls else Transport.TCP))
    except OSError as error:
        for listener in opened:
            listener.close()
        raise ListenError(f"{address} cannot be listened on: {error.strerror}.") from None
    return opened


def _listen_tcp(family: int, target: object, transport: Transport) -> Listener:
    sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(target)  # type: ignore[arg-type]  # getaddrinfo answers the family's own form
        sock.listen(_BACKLOG)
    except OSError:
        sock.close()
        raise
    return Listener(sock, transport, f"{transport.value}:{_tcp_name(sock)}")


def split_address(address: str) -> tuple[str, int]:
    """`HOST:PORT` or `[V6]:PORT` as (host, port); AddressError, in a sentence, for anything else."""
    host, colon, port = address.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise AddressError(f"{address!r} is ambiguous; write an IPv6 address as [ADDRESS]:PORT.")
    if not (colon and host and port.isascii() and port.isdecimal() and int(port) <= 65535):
        raise AddressError(f"{address!r} is not HOST:PORT with a port from 0 to 65535.")
    return host, int(port)


def _tcp_name(sock: socket.socket) -> str:
    host, port = sock.getsockname()[:2]
    return f"[{host}]:{port}" if sock.family == socket.AF_INET6 else f"{host}:{port}"


def adopt(sock: socket.socket, *, tls: bool) -> Listener:
    """A listener over the listening socket `sock` that systemd opened; ListenError for one of another kind.

    Who may reach a TCP socket is then the socket unit's decision, but beyond loopback TLS is still required.
    """
    if not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        raise ListenError("systemd passed a socket that does not listen; the socket unit needs Accept=no.")
    match sock.family, sock.type:
        case socket.AF_UNIX, socket.SOCK_STREAM:
            return Listener(sock, Transport.UNIX, f"unix:{_unix_name(sock)}")
        case socket.AF_UNIX, socket.SOCK_SEQPACKET:
            return Listener(sock, Transport.SEQPACKET, f"seqpacket:{_unix_name(sock)}")
        case ((socket.AF_INET | socket.AF_INET6), socket.SOCK_STREAM):
            name = _tcp_name(sock)
            if tls:
                return Listener(sock, Transport.TLS, f"tls:{name}")
            if not ipaddress.ip_address(sock.getsockname()[0]).is_loopback:
                raise ListenError(f"systemd passed {name}, which is not loopback; that needs [tls].")
            return Listener(sock, Transport.TCP, f"tcp:{name}")
    raise ListenError("systemd passed a socket of a kind that vgicd does not serve.")


def _unix_name(sock: socket.socket) -> str:
    name = sock.getsockname()
    return "@" + os.fsdecode(name[1:]) if isinstance(name, bytes) else str(name)
