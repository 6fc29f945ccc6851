"""Front ends: where the daemon is reached in other protocols than its own, such as gdb's.

Each is off unless its section names an address: a UNIX socket like the daemon's own, or a loopback port.  None of
these protocols knows passwords or TLS, so that nothing beyond this host may reach them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vgicd.config import FRONT_END_DEFAULT, Config
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


@dataclass(frozen=True, slots=True)
class FrontEnd:
    """One of them. `name` is its section's and its default path's suffix."""

    name: str

    @property
    def beyond(self) -> str:
        """Why it listens on loopback only, and how other hosts reach it."""
        return (
            f"{self.name} speaks without encryption or passwords, so listen on 127.0.0.1 and reach it from elsewhere "
            "with `ssh -L PORT:127.0.0.1:PORT HOST`."
        )

    def default_path(self, config: Config) -> Path:
        """Beside the daemon's first UNIX socket, with a suffix instead of its own."""
        first = Path(config.listen.unix[0]) if config.listen.unix else default_path(config.name)
        return first.with_suffix(f".{self.name}")

    def open(self, config: Config, addresses: Sequence[str]) -> list[Listener]:
        """Listen at `addresses`. ListenError if one of them cannot be opened; then none is left open."""
        opened: list[Listener] = []
        try:
            for address in addresses:
                scheme, where = self._parse(address, config)
                if scheme == "tcp":
                    opened += open_tcp(where, tls=False, beyond=self.beyond)
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

    def check(self, config: Config, addresses: Sequence[str]) -> None:
        """AddressError for whatever of `addresses` cannot be right; ListenError for a host that is unknown here."""
        for address in addresses:
            scheme, where = self._parse(address, config)
            if scheme == "tcp":
                resolve(where, tls=False, beyond=self.beyond)
            else:
                check_path(Path(where))

    def _parse(self, address: str, config: Config) -> tuple[str, str]:
        """(`unix`, path) or (`tcp`, HOST:PORT); AddressError for anything else."""
        if _is_default(address):
            return "unix", str(self.default_path(config))
        scheme, colon, where = address.partition(":")
        if not (colon and where and scheme in ("unix", "tcp")):
            raise AddressError(
                f"{address!r} is no address for {self.name}: write unix:PATH, tcp:HOST:PORT or {FRONT_END_DEFAULT}."
            )
        return scheme, where


def _is_default(address: str) -> bool:
    return address in ("", FRONT_END_DEFAULT)
