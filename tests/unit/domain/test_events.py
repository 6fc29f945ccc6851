"""What watchers are told of register accesses."""

from __future__ import annotations

import pytest

from vgicd.domain import operations as op
from vgicd.domain.config import DomainConfig
from vgicd.domain.domain import Domain
from vgicd.domain.events import Event, EventKind

GICD, GICC, PHYSICAL = op.Space.GICD, op.Space.GICC, op.Space.PHYSICAL
WRITE = 1 << 8


def watched(*kinds: EventKind) -> Domain:
    domain = Domain(DomainConfig(vcpus=2))
    domain.listen(sum(1 << kind for kind in kinds))
    return domain


@pytest.mark.parametrize("offset", [0x00C, 0x020], ids=["IAR", "AIAR"])
def test_an_acknowledge_is_one_access(offset: int) -> None:
    domain = watched(EventKind.ACCESS)
    order = domain.apply(op.Read(1, GICC, offset, 4)).order
    assert domain.take_events() == [Event(order, EventKind.ACCESS, 1, 4, GICC << 28 | offset, 0)]


@pytest.mark.parametrize(
    ("access", "width", "address", "value"),
    [
        (op.Read(1, GICD, 0xD00, 4), 4, GICD << 28 | 0xD00, 0),
        (op.Write(1, GICD, 0x100, 2, 0x1234), 2 | WRITE, GICD << 28 | 0x100, 0x1234),
        (op.Read(1, GICC, 0x040, 4), 4, GICC << 28 | 0x040, 0),
        (op.Write(1, GICC, 0x000, 1, 5), 1 | WRITE, GICC << 28, 5),
        (op.Read(1, PHYSICAL, 0x4000, 4), 4, 0x4000, 0),
        (op.Write(1, PHYSICAL, 0x4000, 8, 7), 8 | WRITE, 0x4000, 7),
    ],
)
def test_a_guest_fault_names_its_access(access: op.Read | op.Write, width: int, address: int, value: int) -> None:
    """FAULT has the fields of ACCESS: who, where, how wide, what."""
    domain = watched(EventKind.FAULT)
    order = domain.apply(access).order
    assert domain.take_events() == [Event(order, EventKind.FAULT, 1, width, address, value)]


def test_a_debug_read_of_nothing_is_no_fault() -> None:
    domain = watched(EventKind.FAULT)
    domain.apply(op.Read(0, PHYSICAL, 0x4000, 4, op.Plane.DEBUG))
    domain.apply(op.Read(0, GICD, 0xD00, 4, op.Plane.DEBUG))
    assert domain.take_events() == []


@pytest.mark.parametrize("variant", ["correct", "xen"])
def test_a_look_is_no_event(variant: str) -> None:
    """A DEBUG read switches no worlds, not even of a vCPU whose maintenance interrupt stays asserted."""
    domain = Domain(DomainConfig(vcpus=1, lrs=1, variant=variant))
    domain.apply(op.Write(0, GICD, 0x000, 4, 1))
    domain.apply(op.Write(0, GICD, 0x100, 4, 0xFFFFFFFF))
    for intid in (20, 21):
        domain.apply(op.Line(intid, 1, 0))
    assert domain.vgic.vcpus[0].gich.maintenance()
    domain.listen(1 << EventKind.MAINTENANCE)
    domain.apply(op.Read(0, GICD, 0x004, 4, op.Plane.DEBUG))
    assert (domain.take_events(), domain.vgic.events) == ([], [])
    domain.apply(op.Read(0, GICD, 0x004, 4))
    assert [event.kind for event in domain.take_events()] == [EventKind.MAINTENANCE]


def test_only_what_was_active_is_deactivated() -> None:
    """A driver that clears all active bits when it starts ends nothing by it."""
    domain = watched(EventKind.DEACTIVATE)
    domain.apply(op.Write(0, GICD, 0x304, 4, 1 << 8))
    order = domain.apply(op.Write(0, GICD, 0x384, 4, 0xFFFFFFFF)).order
    assert domain.take_events() == [Event(order, EventKind.DEACTIVATE, 0, 40)]
