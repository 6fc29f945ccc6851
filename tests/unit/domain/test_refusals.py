"""A refused operation changes nothing, however far it had come."""

from __future__ import annotations

from typing import Any

import pytest

from vgicd.domain import operations as op
from vgicd.domain.config import DomainConfig
from vgicd.domain.domain import Domain
from vgicd.domain.errors import Code, RequestError
from vgicd.domain.events import EventKind

RESTORE = op.Plane.RESTORE


def refusal(domain: Domain, operation: Any) -> RequestError:
    with pytest.raises(RequestError) as raised:
        domain.apply(operation)
    return raised.value


def gicd(offset: int, value: int, vcpu: int = 0) -> op.Write:
    return op.Write(vcpu, op.Space.GICD, offset, 4, value)


def gicc(offset: int, value: int, vcpu: int = 0) -> op.Write:
    return op.Write(vcpu, op.Space.GICC, offset, 4, value)


@pytest.mark.parametrize(
    "restore",
    [
        op.Write(1, op.Space.GICD, 0x008, 4, 0x4B01343B, RESTORE),
        op.Write(1, op.Space.GICH, 0x100, 4, 0x1A000020, RESTORE),
    ],
    ids=["GICD_IIDR", "GICH_LR"],
)
def test_a_refused_restore_takes_nobody_out_of_the_guest(restore: op.Write) -> None:
    """An edge interrupt that was ended stays listed until the next exit: which must not be the refusal's."""
    domain = Domain(DomainConfig())
    for operation in (gicd(0x000, 1), gicd(0x820, 1), gicd(0x104, 1), gicc(0x000, 1), gicc(0x004, 0xF8)):
        domain.apply(operation)
    domain.apply(op.Line(32, 1))
    domain.apply(op.Read(0, op.Space.GICC, 0x00C, 4))
    domain.apply(gicc(0x010, 32))
    before = domain.apply(op.Snapshot()).value
    assert before["vcpu0.ap_list"] == (32,)
    assert refusal(domain, restore._replace(vcpu=0)).code == Code.BAD_VALUE
    assert domain.apply(op.Snapshot()).value == before


def test_automatic_mode_that_meets_a_fatal_assertion_leaves_all_outside() -> None:
    """D3: vCPU 1 cannot enter with a sourceless SGI; vCPU 0, which had entered by then, is put back."""
    domain = Domain(DomainConfig(vcpus=2, variant="xen", profile="trace"))
    domain.apply(gicd(0x000, 1))
    domain.apply(gicd(0x200, 1, vcpu=1))
    before = domain.apply(op.Snapshot()).value
    assert refusal(domain, op.Mode(False)).code == Code.FATAL_ASSERTION
    assert domain.explicit
    assert domain.apply(op.Snapshot()).value == before


def test_a_fatal_assertion_leaves_no_events() -> None:
    """D2: CPENDSGIR is refused after its access has been noted."""
    domain = Domain(DomainConfig(variant="xen"))
    domain.listen(1 << EventKind.ACCESS)
    assert refusal(domain, op.Read(0, op.Space.GICD, 0xF10, 4)).code == Code.FATAL_ASSERTION
    assert domain.take_events() == []


def test_the_distributor_is_not_restored_under_a_running_vcpu() -> None:
    """Its exit would undo what was restored, as KVM's -EBUSY knows (spec 7.3)."""
    domain = Domain(DomainConfig(vcpus=2, profile="trace"))
    restore = op.Write(0, op.Space.GICD, 0x304, 4, 1, RESTORE)
    domain.apply(op.Enter(1))
    assert refusal(domain, restore).code == Code.BAD_STATE
    domain.apply(op.Exit(1))
    domain.apply(restore)
    assert domain.apply(op.IrqInfo(32)).value.active
