"""Operations that answer and change nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vgicd.domain import operations as op
from vgicd.domain.devices.event_channel import GUEST_INTID
from vgicd.domain.errors import Code, RequestError
from vgicd.vgic.distributor import peek_pending
from vgicd.vgic.dump import vgic_state, xen_dump
from vgicd.vgic.irq import NR_PRIVATE, VgicIrq

if TYPE_CHECKING:
    from vgicd.domain.domain import Domain
    from vgicd.vgic.vcpu import Vcpu


class Queries:
    """The questions a domain answers."""

    def __init__(self, domain: Domain) -> None:
        self.domain = domain
        self.vgic = domain.vgic

    def vcpu(self, vcpu_id: int) -> Vcpu:
        """Raises RequestError BAD_VCPU."""
        if not 0 <= vcpu_id < len(self.vgic.vcpus):
            raise RequestError(
                Code.BAD_VCPU, "vcpu", f"vCPU {vcpu_id} does not exist: the domain has {len(self.vgic.vcpus)}"
            )
        return self.vgic.vcpus[vcpu_id]

    def irq(self, intid: int, vcpu_id: int) -> VgicIrq:
        """Interrupt `intid`, of `vcpu_id` if it is private.

        Raises RequestError BAD_INTID or BAD_VCPU.
        """
        if not 0 <= intid < self.vgic.nr_irqs:
            raise RequestError(
                Code.BAD_INTID, "intid", f"INTID {intid} does not exist: the domain has 0 to {self.vgic.nr_irqs - 1}"
            )
        if intid < NR_PRIVATE:
            return self.vcpu(vcpu_id).private[intid]
        if vcpu_id != op.NO_VCPU:
            raise RequestError(Code.BAD_VCPU, "vcpu", f"SPI {intid} belongs to no vCPU: leave the vCPU out (0xffff)")
        return self.vgic.spis[intid - NR_PRIVATE]

    def lr_get(self, request: op.LrGet) -> op.LrState:
        vcpu = self.vcpu(request.vcpu)
        gich = vcpu.gich
        return op.LrState(
            vcpu.inside,
            vcpu.used_lrs,
            gich.hcr,
            gich.vtr(),
            gich.vmcr(),
            gich.misr(),
            gich.eisr(),
            gich.elrsr(),
            gich.apr,
            tuple(gich.lrs),
        )

    def irq_info(self, request: op.IrqInfo) -> op.IrqState:
        irq = self.irq(request.intid, request.vcpu)
        vgic = self.vgic
        holder = irq.vcpu
        shown = vgic.overlay(holder).get(irq) if holder is not None else None
        active = irq.active if shown is None else shown.active
        latch = irq.pending_latch if shown is None else shown.pending_latch
        slot = irq.slot
        return op.IrqState(
            intid=irq.intid,
            vcpu=request.vcpu,
            enabled=irq.enabled,
            is_level=irq.is_level,
            line_level=irq.line_level,
            pending_latch=latch,
            pending=bool(peek_pending(vgic, holder or irq.target_vcpu or vgic.vcpus[0], [irq])),
            active=active,
            group=irq.group,
            priority=irq.priority,
            targets=irq.targets,
            target=irq.target_vcpu.id if irq.target_vcpu is not None else -1,
            source=irq.source if shown is None else shown.source,
            active_source=irq.active_source if shown is None else shown.active_source,
            hw=irq.hw,
            hwintid=irq.hwintid,
            listed=holder.id if holder is not None else -1,
            position=holder.ap_list.irqs.index(irq) if holder is not None else -1,
            lr=slot,
            lr_value=holder.gich.lrs[slot] if holder is not None and slot >= 0 else 0,
        )

    def dump(self, request: op.Dump) -> str:
        match request.kind:
            case 0:
                return xen_dump(self.vgic)
            case 1:
                return vgic_state(self.vgic)
            case other:
                raise RequestError(Code.BAD_VALUE, "kind", f"dump kind {other} is neither 0 (Xen) nor 1 (vgic-state)")

    def hw_desc(self, request: op.HwDesc) -> int | None:
        return self.vgic.physical_of(request.virq)

    def pending_check(self, request: op.PendingCheck) -> bool:
        return self.vgic.pending_check(self.vcpu(request.vcpu))

    def event_channel_pending(self, request: op.EventChannelPending) -> bool:
        """PENDING of the event channel's PPI; 31 where the profile has no event channel."""
        vcpu = self.vcpu(request.vcpu)
        channel = self.domain.devices.event_channel
        return self.vgic.pending_now(vcpu, vcpu.private[channel.intid if channel is not None else GUEST_INTID])

    def stats(self, _request: op.Stats) -> dict[str, int]:
        """Operations applied, and guest faults as `fault.KIND.REGISTER`."""
        stats = {"operations": self.domain.order, "sourceless_sgis": self.vgic.sourceless_sgis}
        return stats | {f"fault.{name}": count for name, count in sorted(self.domain.faults.items())}
