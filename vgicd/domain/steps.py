"""Operations on lines, list registers, hardware interrupts and devices."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vgicd.domain import operations as op
from vgicd.domain.errors import Code, RequestError
from vgicd.domain.queries import Queries
from vgicd.hw import list_register as lr
from vgicd.hw.events import EventKind
from vgicd.hw.gich import GICH
from vgicd.vgic.irq import LAST_SPI, NR_PRIVATE, NR_SGIS

if TYPE_CHECKING:
    from vgicd.domain.domain import Domain
    from vgicd.vgic.vcpu import Vcpu

_FIRST_LR = GICH["GICH_LR"].offset


class Steps:
    """The operations that change a domain, but for register accesses and those on the whole."""

    def __init__(self, domain: Domain) -> None:
        self.domain = domain
        self.vgic = domain.vgic
        self.vcpu = Queries(domain).vcpu

    # --- lines ----------------------------------------------------------------------------------------------------

    def line(self, request: op.Line) -> None:
        """Raises RequestError BAD_INTID, BAD_VCPU, BAD_VALUE or OWNED."""
        intid, level, vcpu_id, pulse = request
        vgic = self.vgic
        if level not in (0, 1):
            raise RequestError(Code.BAD_VALUE, "value", f"a line's level is 0 or 1, not {level}")
        if NR_PRIVATE <= intid < vgic.nr_irqs:
            if vcpu_id != op.NO_VCPU:
                raise RequestError(
                    Code.BAD_VCPU, "vcpu", f"SPI {intid} belongs to no vCPU: leave the vCPU out (0xffff)"
                )
            vcpu: Vcpu | None = None
            irq = vgic.spis[intid - NR_PRIVATE]
        else:
            vcpu = self._private_owner(intid, vcpu_id)
            irq = vcpu.private[intid]
        if irq.owner is not None:
            raise RequestError(Code.OWNED, "intid", f"INTID {intid} is driven by a device of this domain")
        vgic.inject(vcpu, intid, bool(level))
        if pulse:
            vgic.inject(vcpu, intid, False)

    def _private_owner(self, intid: int, vcpu_id: int) -> Vcpu:
        if not NR_SGIS <= intid < NR_PRIVATE:
            if NR_PRIVATE <= intid <= LAST_SPI:
                self.vgic.lookup(None, intid)  # variant xen reads beyond its array
            kind = "an SGI has no line: write GICD_SGIR" if 0 <= intid < NR_SGIS else "it does not exist"
            raise RequestError(Code.BAD_INTID, "intid", f"INTID {intid}: {kind}")
        return self.vcpu(vcpu_id)

    def set_irq_level(self, request: op.SetIrqLevel) -> int:
        return self.vgic.set_irq_level(*request)

    # --- explicit mode ----------------------------------------------------------------------------------------------

    def _explicit(self, what: str) -> None:
        if not self.domain.explicit:
            raise RequestError(Code.BAD_STATE, "mode", f"{what} needs explicit mode: the domain switches worlds itself")

    def _inside(self, vcpu_id: int, what: str) -> Vcpu:
        vcpu = self.vcpu(vcpu_id)
        self._explicit(what)
        if not vcpu.inside:
            raise RequestError(Code.BAD_STATE, "vcpu", f"vCPU {vcpu_id} is outside the guest: ENTER it first")
        return vcpu

    def enter(self, request: op.Enter) -> op.EnterState:
        """Raises RequestError BAD_STATE in automatic mode, when inside already, or powered off."""
        vcpu = self.vcpu(request.vcpu)
        self._explicit("ENTER")
        if vcpu.inside or not vcpu.powered:
            why = "inside the guest already" if vcpu.inside else "powered off"
            raise RequestError(Code.BAD_STATE, "vcpu", f"vCPU {vcpu.id} is {why}")
        self.vgic.enter(vcpu)
        vcpu.inside = True
        self.vgic.note(EventKind.ENTER, vcpu.id)
        self.domain.switch.sense(vcpu)
        gich = vcpu.gich
        return op.EnterState(tuple(gich.lrs), gich.hcr, vcpu.used_lrs, gich.misr())

    def exit(self, request: op.Exit) -> op.ExitState:
        """Raises RequestError BAD_STATE in automatic mode, or when outside already."""
        vcpu = self._inside(request.vcpu, "EXIT")
        gich = vcpu.gich
        self.domain.devices.at_exit(vcpu.id)
        found = (tuple(gich.lrs), gich.eisr(), gich.elrsr(), gich.misr(), gich.apr)
        self.vgic.exit(vcpu)
        vcpu.inside = False
        self.vgic.note(EventKind.EXIT, vcpu.id)
        self.domain.switch.sense(vcpu)
        return op.ExitState(*found, gich.hcr)

    def lr_set(self, request: op.LrSet) -> None:
        """Raises RequestError BAD_STATE, BAD_VALUE, or BAD_INTID for a word that the hypervisor could not load."""
        vcpu = self._inside(request.vcpu, "LR_SET")
        if not 0 <= request.index < vcpu.gich.nr_lrs:
            raise RequestError(
                Code.BAD_VALUE, "index", f"list register {request.index} does not exist: there are {vcpu.gich.nr_lrs}"
            )
        if request.index > vcpu.used_lrs:
            raise RequestError(
                Code.BAD_VALUE, "index", f"list registers are filled from 0 up: LR{vcpu.used_lrs} is the next"
            )
        self._check_lr(vcpu, request.index, request.value)
        self._load_lr(vcpu, request.index, request.value)

    def _check_lr(self, vcpu: Vcpu, index: int, value: int) -> None:
        """An LR names an interrupt that exists, is in no other LR, and on no other vCPU's ap_list (I3, I4)."""
        if not 0 <= value <= 0xFFFFFFFF:
            raise RequestError(Code.BAD_VALUE, "value", f"{value:#x} is no 32-bit word")
        intid = value & lr.VIRTUAL_ID
        irq = self.vgic.lookup(vcpu, intid) if intid < self.vgic.nr_irqs else None
        if irq is None:
            raise RequestError(Code.BAD_INTID, "value", f"the word names INTID {intid}, which the domain has not")
        if irq.vcpu not in (None, vcpu):
            raise RequestError(Code.BAD_STATE, "value", f"INTID {intid} is on another vCPU's ap_list")
        for other in range(vcpu.used_lrs):
            word = vcpu.gich.lrs[other]
            if other != index and word & lr.VIRTUAL_ID == intid:
                raise RequestError(Code.BAD_STATE, "value", f"INTID {intid} is in LR{other} already")

    def _load_lr(self, vcpu: Vcpu, index: int, value: int) -> None:
        """Write the LR; its interrupt joins the ap_list, or the next exit would not find it there."""
        former = self.vgic.lookup(vcpu, vcpu.gich.lrs[index] & lr.VIRTUAL_ID)
        if former is not None and former.slot == index:
            former.slot = -1  # what the list register held is lost, as it is on hardware
            self.vgic.touch(former)
        irq = self.vgic.lookup(vcpu, value & lr.VIRTUAL_ID)
        if irq is not None:
            if irq.vcpu is None:
                vcpu.ap_list.append(irq)
            irq.slot = index
            vcpu.loaded[index : index + 1] = [irq]
        vcpu.gich.write_lr(index, value)
        vcpu.used_lrs = vcpu.gich.top = max(vcpu.used_lrs, index + 1)
        vcpu.dirty = True
        self.domain.switch.sense(vcpu)

    def gich(self, request: op.Gich) -> None:
        """Raises RequestError BAD_STATE, BAD_ADDRESS, BAD_VALUE, or READ_ONLY for a register that cannot be written."""
        vcpu = self._inside(request.vcpu, "GICH")
        offset, value = request.offset, request.value
        row = GICH.gate(offset, 4) if 0 <= offset < GICH.size else None
        if row is None:
            raise RequestError(Code.BAD_ADDRESS, "offset", f"no GICH register is at {offset:#x}")
        if row.restore is None:
            raise RequestError(Code.READ_ONLY, "offset", f"{GICH.register_name(offset)} cannot be written")
        if not 0 <= value <= 0xFFFFFFFF:
            raise RequestError(Code.BAD_VALUE, "value", f"{value:#x} is no 32-bit word")
        if row.name == "GICH_LR":
            self.lr_set(op.LrSet(vcpu.id, (offset - _FIRST_LR) // 4, value))
            return
        row.write(vcpu.gich, offset, value)
        self.vgic.touch_all(vcpu)
        self.domain.switch.sense(vcpu)

    # --- virq numbers -----------------------------------------------------------------------------------------------

    def virq_alloc(self, request: op.VirqAlloc) -> int:
        return self.vgic.allocate_virq(request.spi)

    def virq_reserve(self, request: op.VirqReserve) -> bool:
        return self.vgic.reserve_virq(request.virq)

    def virq_free(self, request: op.VirqFree) -> None:
        """Raises RequestError BAD_VALUE for a negative number."""
        if request.virq < 0:
            raise RequestError(Code.BAD_VALUE, "virq", f"a virq is 0 or more, not {request.virq}")
        self.vgic.free_virq(request.virq)

    # --- hardware interrupts ----------------------------------------------------------------------------------------

    def _physical(self, pirq: int) -> int:
        if not NR_PRIVATE <= pirq <= LAST_SPI:
            raise RequestError(
                Code.BAD_INTID, "pirq", f"physical interrupt {pirq} is no SPI ({NR_PRIVATE} to {LAST_SPI})"
            )
        return pirq

    def hw_connect(self, request: op.HwConnect) -> int:
        return self.vgic.connect(request.virq, self._physical(request.pirq))

    def hw_disconnect(self, request: op.HwDisconnect) -> int:
        return self.vgic.disconnect(request.virq, request.pirq)

    def phys_line(self, request: op.PhysLine) -> None:
        if request.level not in (0, 1):
            raise RequestError(Code.BAD_VALUE, "level", f"a line's level is 0 or 1, not {request.level}")
        self.vgic.physical.drive(self._physical(request.pirq), bool(request.level))
        irq = self.vgic.mapped.get(request.pirq)
        if irq is not None:
            self.vgic.touch(irq)  # its holder samples the line at the next exit

    def hw_irq(self, request: op.HwIrq) -> None:
        """Raises RequestError BAD_STATE in automatic mode, where physical interrupts fire by themselves."""
        self._explicit("HW_IRQ")
        self._physical(request.pirq)
        if not NR_PRIVATE <= request.virq < self.vgic.nr_irqs:
            raise RequestError(Code.BAD_INTID, "virq", f"virq {request.virq} is no SPI of the domain")
        self.vgic.hardware_irq(request.pirq, request.virq)

    def vcpu_move(self, request: op.VcpuMove) -> None:
        if not 0 <= request.pcpu <= 0xFFFF:
            raise RequestError(Code.BAD_VALUE, "pcpu", f"a physical CPU is 0 to 65535, not {request.pcpu}")
        self.vgic.move_vcpu(self.vcpu(request.vcpu), request.pcpu)

    def vcpu_power(self, request: op.VcpuPower) -> None:
        """Raises RequestError BAD_STATE in explicit mode while the vCPU is inside."""
        vcpu = self.vcpu(request.vcpu)
        if request.on == vcpu.powered:
            return
        switch = self.domain.switch
        self.domain.prepared.clear()
        if request.on:
            vcpu.powered = True
            self.vgic.power_on(vcpu)
            if not self.domain.explicit:
                vcpu.inside = True
                switch.outside |= 1 << vcpu.id
            return
        if self.domain.explicit and vcpu.inside:
            raise RequestError(Code.BAD_STATE, "vcpu", f"vCPU {vcpu.id} is inside the guest: EXIT it first")
        if vcpu.inside:
            switch.exit(vcpu)
            switch.outside &= ~(1 << vcpu.id)
        vcpu.powered = vcpu.inside = False
        switch.sense(vcpu)

    # --- devices ------------------------------------------------------------------------------------------------------

    def event_channel(self, request: op.EventChannel) -> None:
        """Raises RequestError NO_DEVICE or BAD_VCPU."""
        channel = self.domain.devices.event_channel
        vcpu = self.vcpu(request.vcpu)
        if channel is None:
            raise self._no_device("event channel")
        channel.set_flag(self.vgic, vcpu.id, request.flag)

    def console(self, request: op.Console) -> op.ConsoleState:
        """Raises RequestError NO_DEVICE."""
        uart = self.domain.devices.vpl011
        if uart is None:
            raise self._no_device("vPL011")
        return op.ConsoleState(uart.receive(request.data), uart.take_output())

    def time(self, request: op.Time) -> None:
        """Raises RequestError BAD_VALUE for a time that has passed."""
        domain = self.domain
        if not domain.now <= request.now < 1 << 64:
            raise RequestError(
                Code.BAD_VALUE, "now", f"virtual time is at {domain.now} and does not go back to {request.now}"
            )
        domain.now = request.now
        if domain.devices.vtimer is not None:
            domain.devices.vtimer.advance(self.vgic, request.now)

    def _no_device(self, name: str) -> RequestError:
        profile = self.domain.config.profile
        return RequestError(Code.NO_DEVICE, "profile", f"profile {profile} has no {name}: xen-guest has one")
