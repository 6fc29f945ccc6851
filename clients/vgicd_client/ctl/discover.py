"""Running daemons, found by their sockets in the directories where daemons listen by default."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from vgicd_client.errors import ClientError
from vgicd_client.sync_client import connect
from vgicd_protocol.session import Welcome

PROBE_SECONDS = 1.0


class Found(NamedTuple):
    """A socket; `welcome` is the daemon's introduction, or None with the reason in `problem`."""

    address: str
    welcome: Welcome | None
    problem: str

    def row(self) -> dict[str, Any]:
        """The facts for a table or JSON."""
        facts: dict[str, Any] = {"address": self.address}
        if self.welcome is None:
            return facts | {"problem": self.problem}
        geometry = self.welcome.geometry
        return facts | {
            "domain": self.welcome.domain,
            "vcpus": geometry.vcpus,
            "spis": geometry.spis,
            "lrs": geometry.lrs,
            "variant": geometry.variant,
            "profile": geometry.profile,
        }


def directories() -> list[Path]:
    """Where daemons listen when they are not told otherwise: the user's own directory, then the system's."""
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    return [*([Path(runtime) / "vgicd"] if runtime else []), Path("/run/vgicd")]


def sockets() -> Iterator[str]:
    """The addresses of all sockets in those directories, whether a daemon answers or not."""
    for directory in directories():
        try:
            entries = sorted(directory.iterdir())
        except OSError:
            continue  # no such directory, or not ours to look into: no daemon of ours listens there
        for path in entries:
            if path.suffix == ".sock" and path.is_socket():
                yield f"unix:{path}"


def running() -> list[Found]:
    """Every socket with the introduction of the daemon behind it."""
    return [probe(address) for address in sockets()]


def probe(address: str) -> Found:
    """Ask the daemon at `address` who it is."""
    try:
        with connect(address, "observe", name="vgicctl list", timeout=PROBE_SECONDS) as client:
            return Found(address, client.welcome, "")
    except ClientError as error:
        return Found(address, None, str(error))
