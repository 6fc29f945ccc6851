"""What must hold after every operation (spec 1.8 I1..I4, and what other implementations got wrong)."""

from __future__ import annotations

from vgicd.domain.errors import InvariantError
from vgicd.hw import list_register as lr
from vgicd.vgic.irq import NR_PRIVATE
from vgicd.vgic.vcpu import Vcpu
from vgicd.vgic.vgic import Vgic


def check(vgic: Vgic) -> None:
    """Raise InvariantError naming the first contradiction."""
    seen: set[int] = set()
    for vcpu in vgic.vcpus:
        _check_list(vcpu, seen)
        _check_list_registers(vgic, vcpu)
    for irq in vgic.all_irqs():
        if irq.vcpu is not None and id(irq) not in seen:
            raise InvariantError(f"I1: {irq!r} names {irq.vcpu!r} and is not on its ap_list")
        if irq.refcount:
            raise InvariantError(f"{irq!r} is no LPI and has {irq.refcount} references")
        if irq.priority & 7 or irq.targets & ~vgic.vcpu_mask:
            raise InvariantError(f"{irq!r} holds bits that do not exist")


def _check_list(vcpu: Vcpu, seen: set[int]) -> None:
    for irq in vcpu.ap_list.irqs:
        if id(irq) in seen:
            raise InvariantError(f"I1: {irq!r} is listed twice")
        seen.add(id(irq))
        if irq.vcpu is not vcpu:
            raise InvariantError(f"I1: {irq!r} is on the ap_list of {vcpu!r} and names {irq.vcpu!r}")
        if irq.intid < NR_PRIVATE and vcpu.private[irq.intid] is not irq:
            raise InvariantError(f"{irq!r} is private and on the ap_list of {vcpu!r}, which is not its own")
    if sum(vcpu.ap_list.counts) != len(vcpu.ap_list.irqs) or min(vcpu.ap_list.counts) < 0:
        raise InvariantError(f"{vcpu!r} counts {vcpu.ap_list.counts} for {len(vcpu.ap_list.irqs)} listed")


def _check_list_registers(vgic: Vgic, vcpu: Vcpu) -> None:
    intids: set[int] = set()
    for index, word in enumerate(vcpu.gich.lrs):
        if index >= vcpu.used_lrs:
            if word:
                raise InvariantError(f"LR{index} of {vcpu!r} is {word:#010x} and not in use")
            continue
        intid = word & lr.VIRTUAL_ID
        irq = vgic.lookup(vcpu, intid)
        if irq is None or irq.vcpu is not vcpu:
            raise InvariantError(f"I3: LR{index} of {vcpu!r} holds INTID {intid}, which is not on its ap_list")
        if irq.slot not in (index, -1):
            raise InvariantError(f"LR{index} of {vcpu!r} holds {irq!r}, which says it is in LR{irq.slot}")
        if intid in intids:
            raise InvariantError(f"I4: INTID {intid} is in two list registers of {vcpu!r}")
        intids.add(intid)
