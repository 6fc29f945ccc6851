"""Access: who is at the other end, and what that peer may ask for.

A rule names a peer: a user (`alice` or `1000`), a group (`@vgic` or `@50`, primary or supplementary), or the common
name of a verified TLS client certificate (`cert:bench`).  The highest role of all rules that match counts; a peer that
no rule matches is refused before it can say anything.  The daemon's own user always has control over a UNIX socket,
and so does root, who could take it anyway.
"""

from __future__ import annotations

import grp
import os
import pwd
import socket
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple

from vgicd.options import option
from vgicd_protocol.frames import Role

_UCRED: Final = struct.Struct("iII")
_SO_PEERGROUPS: Final = getattr(socket, "SO_PEERGROUPS", 59)  # Linux 4.13; not among Python's constants


ROLES: Final = ("observe", "guest", "control")


class AccessError(Exception):
    """An access rule that names nobody; nothing has been changed."""


@dataclass(frozen=True, slots=True)
class Access:
    """Who may connect, and as what. Each of the three lists takes rules as the module describes them."""

    socket_mode: int = option(0o660, "permissions of UNIX sockets that the daemon creates", low=0, high=0o777, base=8)
    observe: tuple[str, ...] = option(
        (), "peers that may look; a RULE is a user, an @GROUP or a cert:COMMON-NAME", metavar="RULE"
    )
    guest: tuple[str, ...] = option((), "peers that may also act as the guest and its devices", metavar="RULE")
    control: tuple[str, ...] = option((), "peers that may also set and reset state", metavar="RULE")
    tcp_role: str = option("guest", "role of every peer on a loopback TCP port, where no user is known", choices=ROLES)


class Peer(NamedTuple):
    """The other end of a connection, as far as the kernel or TLS vouches for it."""

    key: str  # what the connections-per-user limit counts by
    pid: int | None = None
    uid: int | None = None
    groups: frozenset[int] = frozenset()
    certificate: str | None = None
    address: str | None = None

    def described(self) -> dict[str, str | int]:
        """What a log line says of the peer."""
        known = {"uid": self.uid, "pid": self.pid, "certificate": self.certificate, "address": self.address}
        return {name: value for name, value in known.items() if value is not None}


def unix_peer(sock: socket.socket) -> Peer:
    """The process that connected the UNIX socket `sock`, with the groups it had then. OSError if it cannot be told."""
    pid, uid, gid = _UCRED.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
    groups = {gid}
    try:
        raw = sock.getsockopt(socket.SOL_SOCKET, _SO_PEERGROUPS, 1024 * 4)
    except OSError:
        pass  # more than 1024 groups, or a kernel before 4.13: the primary group alone can be matched
    else:
        groups.update(struct.unpack(f"{len(raw) // 4}I", raw))
    return Peer(key=f"uid:{uid}", pid=pid, uid=uid, groups=frozenset(groups))


class Rules:
    """The rules of an `Access`, with names resolved once. AccessError if a user or group does not exist."""

    def __init__(self, access: Access) -> None:
        self._uids: dict[int, Role] = {}
        self._gids: dict[int, Role] = {}
        self._certificates: dict[str, Role] = {}
        self._tcp_role = Role[access.tcp_role.upper()]
        for role, rules in (
            (Role.OBSERVE, access.observe),
            (Role.GUEST, access.guest),
            (Role.CONTROL, access.control),
        ):
            self._add(role, rules)
        self._uids[os.geteuid()] = self._uids[0] = Role.CONTROL

    def _add(self, role: Role, rules: Iterable[str]) -> None:
        """Roles are added in rising order, so that the last one stays."""
        for rule in rules:
            if rule.startswith("cert:"):
                self._certificates[rule.removeprefix("cert:")] = role
            elif rule.startswith("@"):
                self._gids[_gid(rule[1:], role)] = role
            else:
                self._uids[_uid(rule, role)] = role

    @property
    def names_certificates(self) -> bool:
        """Is there a rule that a TLS peer can match at all?"""
        return bool(self._certificates)

    def highest_role(self, peer: Peer) -> Role | None:
        """The most that `peer` may ask for, or None: it may not connect."""
        if peer.certificate is not None:
            return self._certificates.get(peer.certificate)
        if peer.uid is None:
            return self._tcp_role
        found = [self._gids[gid] for gid in peer.groups if gid in self._gids]
        if peer.uid in self._uids:
            found.append(self._uids[peer.uid])
        return max(found, default=None)


def _uid(text: str, role: Role) -> int:
    if text.isdecimal():
        return int(text)
    try:
        return pwd.getpwnam(text).pw_uid
    except KeyError:
        raise AccessError(f"access.{role.name.lower()}: there is no user {text!r}.") from None


def _gid(text: str, role: Role) -> int:
    if text.isdecimal():
        return int(text)
    try:
        return grp.getgrnam(text).gr_gid
    except KeyError:
        raise AccessError(f"access.{role.name.lower()}: there is no group {text!r}.") from None
