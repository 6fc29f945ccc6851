"""Where gdb finds the daemon: a UNIX socket like the daemon's own, or a loopback port.

gdb knows neither passwords nor TLS, so that nothing beyond this host may reach it: other hosts come through ssh.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from vgicd.config import GDB_DEFAULT, Config
from vgicd.server.listeners import (
    AddressError,
    Listener,
    ListenError,
    check_path,
    default_path,
    make_directory,
    open_tcp,
    open_unix,
    resolve,
)

_BEYOND: Final = (
    "gdb speaks without encryption or passwords, so listen on 127.0.0.1 and reach it from elsewhere with "
    "`ssh -L PORT:127.0.0.1:PORT HOST`."
)


def default_gdb_path(config: Config) -> Path:
    """Beside the daemon's first UNIX socket, with the suffix .gdb instead of its own."""
    first = Path(config.listen.unix[0]) if config.listen.unix else default_path(config.name)
    return first.with_suffix(".gdb")


def open_gdb_listeners(config: Config) -> list[Listener]:
    """Open what `config.gdb.listen` names. ListenError if any of it cannot be opened; then none is left open."""
    opened: list[Listener] = []
    try:
        for address in config.gdb.listen:
            scheme, where = _parse(address, config)
            if scheme == "tcp":
                opened += open_tcp(where, tls=False, beyond=_BEYOND)
                continue
            path = Path(where)
            if _is_default(address):
                make_directory(path.parent)
            opened.append(open_unix(path, config.access.socket_mode))
    except ListenError:
        for listener in opened:
            listener.close()
        raise
    return opened


def check_gdb_addresses(config: Config) -> None:
    """AddressError for whatever of `config.gdb.listen` cannot be right; ListenError for a host that is unknown here."""
    for address in config.gdb.listen:
        scheme, where = _parse(address, config)
        if scheme == "tcp":
            resolve(where, tls=False, beyond=_BEYOND)
        else:
            check_path(Path(where))


def _is_default(address: str) -> bool:
    return address in ("", GDB_DEFAULT)


def _parse(address: str, config: Config) -> tuple[str, str]:
    """(`unix`, path) or (`tcp`, HOST:PORT); AddressError for anything else."""
    if _is_default(address):
        return "unix", str(default_gdb_path(config))
    scheme, colon, where = address.partition(":")
    if not (colon and where and scheme in ("unix", "tcp")):
        raise AddressError(f"{address!r} is no address for gdb: write unix:PATH, tcp:HOST:PORT or {GDB_DEFAULT}.")
    return scheme, where
