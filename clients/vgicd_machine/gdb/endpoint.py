"""Where gdb connects: a socket that listens, and one connection at a time."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from vgicd_client import AddressError
from vgicd_client.addresses import Address, parse_gdb
from vgicd_machine.errors import MachineError
from vgicd_machine.gdb.link import Link

_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})


class Endpoint:
    """Listens at `address`; only on loopback, because whoever connects owns the guest. See `open_endpoint`."""

    def __init__(self, address: Address) -> None:
        self._path: Path | None = None
        if address.transport == "tcp":
            if address.host not in _LOOPBACK:
                raise AddressError(
                    f"--gdb {address}: gdb may do everything to the guest, so that only localhost serves"
                )
            family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
            self._socket = socket.socket(family)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            where: tuple[str, int] | str = (address.host, address.port)
        else:
            self._socket = socket.socket(socket.AF_UNIX)
            where = address.path
            self._path = Path(address.path)
        try:
            self._socket.bind(where)
            self._socket.listen(1)
        except OSError as error:
            self._socket.close()
            hint = ": remove it if nobody serves there" if self._path is not None and self._path.exists() else ""
            self._path = None
            raise MachineError(f"cannot serve gdb at {address}: {error.strerror}{hint}") from error
        self._socket.setblocking(False)
        self._address = address

    @property
    def address(self) -> str:
        """What `target remote` is given."""
        if self._address.transport != "tcp":
            return self._address.path
        return str(self._address).partition(":")[2]

    def accept(self) -> Link | None:
        """The connection of a gdb that waits for one."""
        try:
            connection, _ = self._socket.accept()
        except BlockingIOError:
            return None
        return Link(connection)

    def close(self) -> None:
        self._socket.close()
        if self._path is not None:
            self._path.unlink(missing_ok=True)


@contextmanager
def open_endpoint(text: str) -> Iterator[Endpoint]:
    """The endpoint at `unix:PATH` or `tcp:HOST:PORT`, closed at the end of the block.

    Raises `AddressError` for what is none, `MachineError` when nobody can listen there.
    """
    endpoint = Endpoint(parse_gdb(text))
    try:
        yield endpoint
    finally:
        endpoint.close()
