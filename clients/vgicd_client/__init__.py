"""Clients of vgicd: blocking and for trio, a private daemon for tests, and `vgicctl`.

from vgicd_client import Space, connect, private_daemon

with private_daemon(vcpus=4) as daemon, connect(daemon.address) as gic:
    gic.write(0, Space.GICD, 0x000, 1)
    print(gic.outputs)
"""

from vgicd_client.daemon import DaemonFailed, PrivateDaemon, private_daemon, private_daemon_async
from vgicd_client.errors import (
    AddressError,
    ClientError,
    ConnectionLost,
    GuestAbort,
    ProtocolError,
    Refused,
)
from vgicd_client.replies import Effect, EffectKind, Event, EventKind, Reply
from vgicd_client.requests import Entry, Request
from vgicd_client.sync_client import Client, connect
from vgicd_client.trio_client import TrioClient
from vgicd_protocol.errors import Status
from vgicd_protocol.frames import Plane, Role, Space
from vgicd_protocol.image import StateImage

__all__ = [
    "AddressError",
    "Client",
    "ClientError",
    "ConnectionLost",
    "DaemonFailed",
    "Effect",
    "EffectKind",
    "Entry",
    "Event",
    "EventKind",
    "GuestAbort",
    "Plane",
    "PrivateDaemon",
    "ProtocolError",
    "Refused",
    "Reply",
    "Request",
    "Role",
    "Space",
    "StateImage",
    "Status",
    "TrioClient",
    "connect",
    "private_daemon",
    "private_daemon_async",
]
