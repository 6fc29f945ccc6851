"""SGIs are neither lost nor doubled, and each arrives with the CPU that sent it, with any number of list registers."""

from __future__ import annotations

from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.property.budget import QUICK
from vgicd.domain import operations as op
from vgicd.domain.config import DomainConfig
from vgicd.domain.domain import Domain

GICD, GICC = op.Space.GICD, op.Space.GICC
SENDS = st.tuples(st.integers(0, 3), st.integers(0, 15), st.integers(0, 3), st.integers(0, 255))


def working(vcpus: int, lrs: int, variant: str = "correct") -> Domain:
    domain = Domain(DomainConfig(vcpus=vcpus, lrs=lrs, spis=0, variant=variant))
    domain.apply(op.Write(0, GICD, 0x000, 4, 1))
    for vcpu in range(vcpus):
        domain.apply(op.Write(vcpu, GICC, 0x004, 4, 0xF8))
        domain.apply(op.Write(vcpu, GICC, 0x000, 4, 1))
    return domain


def drain(domain: Domain, vcpu: int, limit: int = 200) -> list[tuple[int, int]]:
    """Acknowledge and end everything that `vcpu` has: (SGI, sender) in order.

    Stops at `limit`, which no sequence of sends here can reach, so that an endless delivery shows as one.
    """
    taken = []
    while domain.outputs >> 2 * vcpu & 1 and len(taken) < limit:
        iar = domain.apply(op.Read(vcpu, GICC, 0x00C, 4)).value
        taken.append((iar & 0x3FF, iar >> 10 & 7))
        domain.apply(op.Write(vcpu, GICC, 0x010, 4, iar))
    return taken


@given(
    vcpus=st.sampled_from((1, 2, 4)), lrs=st.sampled_from((1, 2, 4)), sends=st.lists(SENDS, min_size=12, max_size=24)
)
@QUICK
def test_every_sgi_arrives_once_from_each_sender(vcpus: int, lrs: int, sends: list[tuple[int, int, int, int]]) -> None:
    """Requests of one sender merge until they are acknowledged; those of several do not (IHI 0048B 4.3.15)."""
    domain = working(vcpus, lrs)
    everybody = (1 << vcpus) - 1
    expected: dict[int, set[tuple[int, int]]] = defaultdict(set)
    for chosen, sgi, filter_, mask in sends:
        sender = chosen % vcpus
        targets = {0: mask & everybody, 1: everybody & ~(1 << sender), 2: 1 << sender, 3: 0}[filter_]
        domain.apply(op.Write(sender, GICD, 0xF00, 4, filter_ << 24 | mask << 16 | sgi))
        for vcpu in range(vcpus):
            if targets >> vcpu & 1:
                expected[vcpu].add((sgi, sender))
    for vcpu in range(vcpus):
        taken = drain(domain, vcpu)
        assert len(taken) == len(set(taken))
        assert set(taken) == expected[vcpu]


@pytest.mark.parametrize("variant", ["correct", "xen"])
def test_a_mask_beyond_the_vcpus_reaches_those_that_exist(variant: str) -> None:
    """XSA-225: all target lists, for every number of vCPUs."""
    for vcpus in range(1, 9):
        domain = working(vcpus, 4, variant)
        for mask in range(256):
            domain.apply(op.Write(0, GICD, 0xF00, 4, mask << 16 | 3))
            reached = {vcpu for vcpu in range(vcpus) if drain(domain, vcpu) == [(3, 0)]}
            assert reached == {vcpu for vcpu in range(vcpus) if mask >> vcpu & 1}
