"""Who may connect, and as what."""

from __future__ import annotations

import os
import pwd
import socket

import pytest

from vgicd.server.access import Access, AccessError, Peer, Rules, unix_peer
from vgicd_protocol.frames import Role

STRANGER = 54_321


def peer(uid: int = STRANGER, *groups: int) -> Peer:
    return Peer(key="", uid=uid, groups=frozenset(groups))


def test_the_kernel_says_who_is_at_the_other_end() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        found = unix_peer(ours)
    assert (found.pid, found.uid) == (os.getpid(), os.getuid())
    assert os.getgid() in found.groups
    assert found.key == f"uid:{os.getuid()}"


def test_the_daemons_own_user_and_root_have_control() -> None:
    rules = Rules(Access())
    assert rules.highest_role(peer(os.geteuid())) is Role.CONTROL
    assert rules.highest_role(peer(0)) is Role.CONTROL


def test_who_is_not_named_may_not_connect() -> None:
    assert Rules(Access()).highest_role(peer()) is None
    assert Rules(Access(observe=("@7",))).highest_role(peer(STRANGER, 8)) is None


def test_the_highest_of_all_matching_rules_counts() -> None:
    rules = Rules(Access(observe=(str(STRANGER),), guest=("@7",), control=("@8",)))
    assert rules.highest_role(peer()) is Role.OBSERVE
    assert rules.highest_role(peer(STRANGER, 7)) is Role.GUEST
    assert rules.highest_role(peer(STRANGER, 7, 8)) is Role.CONTROL
    assert Rules(Access(observe=("@7",), control=("@7",))).highest_role(peer(STRANGER, 7)) is Role.CONTROL


def test_users_and_groups_may_be_named() -> None:
    entry = pwd.getpwuid(65534)
    assert Rules(Access(guest=(entry.pw_name,))).highest_role(peer(65534)) is Role.GUEST


@pytest.mark.parametrize("rule", ["no-such-user-here", "@no-such-group-here", "", "-1"])
def test_a_rule_that_names_nobody_is_an_error(rule: str) -> None:
    with pytest.raises(AccessError, match="there is no"):
        Rules(Access(guest=(rule,)))


def test_a_tcp_peer_has_the_role_of_the_port_and_a_certificate_its_own() -> None:
    rules = Rules(Access(tcp_role="observe", control=("cert:bench",)))
    assert rules.highest_role(Peer(key="", address="127.0.0.1")) is Role.OBSERVE
    assert rules.highest_role(Peer(key="", address="10.0.0.1", certificate="bench")) is Role.CONTROL
    assert rules.highest_role(Peer(key="", address="10.0.0.1", certificate="other")) is None
