"""Which interrupts are active on a vCPU, innermost first."""

from __future__ import annotations

import pytest

from tests.unit.gdbstub.local import GICC, GICD, bring_up, snapshot, take
from vgicd.domain import operations as op
from vgicd.domain.config import DomainConfig
from vgicd.domain.domain import Domain
from vgicd.gdbstub.nesting import Active, active_interrupts


def domain_of(**options: object) -> Domain:
    domain = Domain(DomainConfig(**{"vcpus": 2, "spis": 64, **options}))  # type: ignore[arg-type]
    bring_up(domain)
    return domain


def nesting(domain: Domain, vcpu: int = 0) -> list[Active]:
    return active_interrupts(domain.vgic, domain.vgic.vcpus[vcpu])


def intids(domain: Domain, vcpu: int = 0) -> list[int]:
    return [active.intid for active in nesting(domain, vcpu)]


def test_an_idle_vcpu_has_none() -> None:
    assert nesting(domain_of()) == []


def test_a_pending_interrupt_is_not_active() -> None:
    domain = domain_of()
    domain.apply(op.Line(27, 1, 0))
    assert nesting(domain) == []


def test_a_preempting_interrupt_is_innermost() -> None:
    """IHI 0048B 3.3.3: only a higher group priority preempts."""
    domain = domain_of()
    assert [take(domain, 42, 0xA0), take(domain, 27, 0x50)] == [42, 27]
    assert intids(domain) == [27, 42]
    innermost = nesting(domain)[0]
    assert (innermost.priority, innermost.group, innermost.running, innermost.source) == (0x50, 0, True, 0)
    assert domain.vgic.vcpus[0].gich.lrs[innermost.lr] & 0x3FF == 27


def test_nesting_ends_with_the_end_of_the_innermost() -> None:
    domain = domain_of()
    take(domain, 42, 0xA0)
    take(domain, 27, 0x50)
    domain.apply(op.Line(27, 0, 0))
    domain.apply(op.Write(0, GICC, 0x10, 4, 27))
    assert intids(domain) == [42]


def test_each_vcpu_has_its_own() -> None:
    domain = domain_of()
    take(domain, 42, 0xA0, vcpu=0)
    take(domain, 27, 0xA0, vcpu=1)
    assert (intids(domain, 0), intids(domain, 1)) == ([42], [27])


def test_interrupts_beyond_the_list_registers_are_shown_in_their_order() -> None:
    """With one list register the preempted ones wait on the ap_list, and are active all the same."""
    domain = domain_of(lrs=1)
    for intid, priority in ((40, 0xC0), (41, 0xA0), (42, 0x80), (43, 0x60)):
        assert take(domain, intid, priority) == intid
    assert intids(domain) == [43, 42, 41, 40]
    assert [active.lr for active in nesting(domain)].count(-1) == 3
    assert [active.priority for active in nesting(domain)] == [0x60, 0x80, 0xA0, 0xC0]


def test_an_eoi_that_the_hardware_only_counted_has_ended_its_interrupt() -> None:
    """GICH_HCR.EOICount: the next exit deactivates what waits outside the list registers (F23)."""
    domain = domain_of(lrs=1)
    domain.apply(op.Mode(True))
    domain.apply(op.Write(0, GICD, 0x400 + 40, 1, 0xC0))
    domain.apply(op.Write(0, GICD, 0x400 + 41, 1, 0xA0))
    domain.apply(op.Write(0, GICD, 0x828, 4, 0x01010101))
    for intid in (40, 41):
        domain.apply(op.Line(intid, 1))
        domain.apply(op.Enter(0))
        assert domain.apply(op.Read(0, GICC, 0x0C, 4)).value == intid
        domain.apply(op.Exit(0))
    domain.apply(op.Enter(0))
    loaded = domain.vgic.vcpus[0].gich.lrs[0] & 0x3FF
    outside = 81 - loaded
    assert sorted(intids(domain)) == [40, 41]
    domain.apply(op.Write(0, GICC, 0x10, 4, outside))
    assert intids(domain) == [loaded]
    domain.apply(op.Exit(0))
    assert intids(domain) == [loaded]


def test_a_dropped_priority_is_behind_what_runs() -> None:
    """With EOImode 1 an interrupt stays active after EOIR, and another may be taken whatever its priority."""
    domain = Domain(DomainConfig(vcpus=1, spis=64))
    bring_up(domain, eoi_mode=1)
    take(domain, 40, 0x40)
    domain.apply(op.Write(0, GICC, 0x10, 4, 40))
    assert take(domain, 41, 0xA0) == 41
    found = nesting(domain)
    assert [(active.intid, active.running) for active in found] == [(41, True), (40, False)]
    domain.apply(op.Write(0, GICC, 0x1000, 4, 40))
    assert intids(domain) == [41]


def test_an_sgi_is_shown_with_who_sent_it() -> None:
    domain = domain_of()
    domain.apply(op.Write(1, GICD, 0xF00, 4, 1 << 16 | 5))
    assert domain.apply(op.Read(0, GICC, 0x0C, 4)).value == 1 << 10 | 5
    assert [(active.intid, active.source) for active in nesting(domain)] == [(5, 1)]


def test_what_became_active_by_a_write_is_in_order_of_intid() -> None:
    domain = domain_of()
    domain.apply(op.Write(0, GICD, 0x300, 4, 0xF0000))
    found = [(active.intid, active.running) for active in nesting(domain)]
    assert found == [(16, False), (17, False), (18, False), (19, False)]


def test_pending_again_is_said() -> None:
    domain = domain_of()
    domain.apply(op.Write(0, GICD, 0xC08, 4, 0xAAAAAAAA))
    take(domain, 40, 0x80)
    domain.apply(op.Line(40, 0))
    domain.apply(op.Line(40, 1))
    assert [(active.intid, active.pending) for active in nesting(domain)] == [(40, True)]


@pytest.mark.parametrize("explicit", [False, True])
def test_looking_changes_nothing(explicit: bool) -> None:
    domain = domain_of(lrs=1)
    take(domain, 42, 0xA0)
    take(domain, 27, 0x50)
    if explicit:
        domain.apply(op.Mode(True))
        domain.apply(op.Enter(0))
        domain.apply(op.Gich(0, 0x00, 1))
    before = snapshot(domain)
    assert intids(domain) == [27, 42]
    assert snapshot(domain) == before
