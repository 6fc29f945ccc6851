"""Does the distributor forward the interrupt?  Enables, target, priority, and whose ap_list it is on."""

from __future__ import annotations

from typing import Any

from vgicd.gdbstub import text
from vgicd.gdbstub.diagnosis.case import IDLE_PRIORITY, ORDINARY_PRIORITY, Case, Finding, element
from vgicd.vgic.vcpu import Vcpu


def enable(case: Case) -> Finding:
    """GICD_ISENABLER."""
    place = element(case.vgic.frame["GICD_ISENABLER"], case.intid)
    if case.irq.enabled:
        return Finding("enable", True, f"{place} is 1")
    return Finding("enable", False, f"{place} is 0: it is disabled", case.gicd("GICD_ISENABLER", 1))


def distributor(case: Case) -> Finding:
    """GICD_CTLR."""
    if case.vgic.enabled:
        return Finding("distributor", True, "GICD_CTLR.Enable is 1")
    return Finding(
        "distributor", False, "GICD_CTLR.Enable is 0: nothing is forwarded to any vCPU", case.gicd("GICD_CTLR", 1)
    )


def target(case: Case) -> Finding | None:
    """GICD_ITARGETSR, of an SPI."""
    irq, vcpu = case.irq, case.vcpu
    if case.is_private:
        return None
    place = element(case.vgic.frame["GICD_ITARGETSR"], case.intid)
    found = f"{place} is {irq.targets:#04x}"
    if irq.target_vcpu is vcpu:
        lowest = ", the lowest of " + text.vcpus(irq.targets) if irq.targets & irq.targets - 1 else ""
        return Finding("target", True, f"{found}: it goes to vCPU {vcpu.id}{lowest}")
    if irq.target_vcpu is None:
        said = f"{found}: it goes to no vCPU"
    else:
        said = f"{found}: it goes to vCPU {irq.target_vcpu.id}, not to vCPU {vcpu.id}"
    return Finding("target", False, said, case.gicd("GICD_ITARGETSR", 1 << vcpu.id))


def priority(case: Case) -> Finding | None:
    """GICD_IPRIORITYR: the one value that no mask lets through."""
    if case.priority < IDLE_PRIORITY:
        return None
    place = element(case.vgic.frame["GICD_IPRIORITYR"], case.intid)
    mend = case.gicd("GICD_IPRIORITYR", ORDINARY_PRIORITY)
    case.priority = ORDINARY_PRIORITY
    return Finding("priority", False, f"{place} is {IDLE_PRIORITY:#x}: no GICC_PMR lets the lowest priority pass", mend)


def forwarded(case: Case) -> bool:
    """Do the distributor's registers forward it to the vCPU, as they are now?"""
    irq = case.irq
    return bool(case.state.pending and irq.enabled and case.vgic.enabled and irq.target_vcpu is case.vcpu)


def queue(case: Case) -> Finding | None:
    """The ap_list: what is pending for a vCPU must be on its list, and on no other's."""
    holder = case.holder
    if holder is case.vcpu:
        place = case.vcpu.ap_list.irqs.index(case.irq)
        count = len(case.vcpu.ap_list.irqs)
        return Finding("queue", True, f"on the ap_list of vCPU {case.vcpu.id}, {place + 1} of {count}")
    if holder is not None:
        return _elsewhere(case, holder)
    if not forwarded(case):
        return None
    if case.irq.owner is not None and not case.irq.pending:
        mend = _device_exit(case)
        return Finding("queue", False, "its device raises the line when the vCPU next leaves the guest", mend)
    mend = case.gicd("GICD_ICENABLER", 1) + case.gicd("GICD_ISENABLER", 1)
    return Finding(
        "queue", False, "on no ap_list: it became deliverable by a write that queued nothing (variant xen)", mend,
        "Defect D9 (a late target), D10 (a late GICD_CTLR) or a write to GICD_ICFGR; variant correct queues it.",
    )  # fmt: skip


def _elsewhere(case: Case, holder: Vcpu) -> Finding:
    said = f"still on the ap_list of vCPU {holder.id}, until that vCPU leaves the guest"
    mend: tuple[Any, ...] = ()
    if not holder.powered:
        said += ", and it is powered off"
        mend += case.power_on(holder)
    if case.world.explicit:
        mend += case.world.inside(holder) + case.world.outside(holder) + case.any_exit(case.vcpu)
    else:
        mend += case.any_exit(holder) + case.any_exit(case.vcpu)
    case.changed = True
    return Finding("queue", False, said, mend)


def _device_exit(case: Case) -> tuple[Any, ...]:
    """Devices of the domain drive their lines when a vCPU leaves the guest, and then only."""
    case.changed = True
    if not case.world.explicit:
        return case.any_exit(case.vcpu)
    return (*case.world.inside(case.vcpu), *case.world.outside(case.vcpu))
