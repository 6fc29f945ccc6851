"""GICD: what a guest's access to the distributor means (spec 5.1, 5.2; IHI 0048B 4.3).

Handlers get an access that the frame's gate has admitted: the VGIC, the accessing vCPU and, for registers indexed
by INTID, the interrupts it touches, lowest first.  Write values are cut to the access width before.  The accessing
vCPU has left the guest, so its own interrupts are folded; a DEBUG read sees through the list registers instead.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from vgicd.registers import BYTE_OR_WORD, WORD, Field, Frame, Layout, block, per_irq
from vgicd.vgic.errors import RestoreError
from vgicd.vgic.irq import NR_PRIVATE, PRIORITY_MASK, VgicIrq

if TYPE_CHECKING:
    from vgicd.vgic.vcpu import Vcpu
    from vgicd.vgic.vgic import Vgic

Irqs = list[VgicIrq]
NO_REVISION: Final = 0x4B01043B  # product 'K', variant 1, implementer ARM, as Xen's

CTLR: Final = Layout("GICD_CTLR", 32, Field("Enable", 0, doc="forward pending interrupts, of both groups"))
TYPER: Final = Layout(
    "GICD_TYPER",
    32,
    Field("LSPI", 11, 5, "lockable SPIs", "RO"),
    Field("SecurityExtn", 10, doc="security extensions", access="RO"),
    Field("CPUNumber", 5, 3, "vCPUs, minus one", "RO"),
    Field("ITLinesNumber", 0, 5, "interrupts / 32, minus one", "RO"),
)
IIDR: Final = Layout(
    "GICD_IIDR",
    32,
    Field("ProductID", 24, 8, access="RO"),
    Field("Variant", 16, 4, access="RO"),
    Field("Revision", 12, 4, "2: IGROUPR is writable", "RO"),
    Field("Implementer", 0, 12, access="RO"),
)
SGIR: Final = Layout(
    "GICD_SGIR",
    32,
    Field("TargetListFilter", 24, 2, access="WO", values={0: "list", 1: "all but self", 2: "self", 3: "reserved"}),
    Field("CPUTargetList", 16, 8, access="WO"),
    Field("NSATT", 15, access="WO", doc="ignored"),
    Field("SGIINTID", 0, 4, access="WO"),
)


def _bits(flags: Iterator[bool]) -> int:
    value, bit = 0, 1
    for flag in flags:
        if flag:
            value |= bit
        bit <<= 1
    return value


def _selected(irqs: Irqs, value: int) -> Iterator[VgicIrq]:
    """The interrupts whose bit in `value` is 1, lowest first."""
    while value:
        low = value & -value
        yield irqs[low.bit_length() - 1]
        value ^= low


# --- CTLR, TYPER, IIDR ----------------------------------------------------------------------------------------------


def read_ctlr(vgic: Vgic, _vcpu: Vcpu) -> int:
    return int(vgic.enabled)


def write_ctlr(vgic: Vgic, _vcpu: Vcpu, value: int) -> None:
    """Bit 0 forwards interrupts of both groups; what became pending meanwhile is queued when it rises."""
    enabled = bool(value & 1)
    if enabled == vgic.enabled:
        return
    vgic.enabled = enabled
    for vcpu in vgic.vcpus:
        vgic.touch_all(vcpu)
    if enabled:
        vgic.queue_withheld()
        for vcpu in vgic.vcpus:
            if vgic.pending_check(vcpu):
                vgic.kick(vcpu)
    else:
        vgic.kick_on_disable()


def read_typer(vgic: Vgic, _vcpu: Vcpu) -> int:
    return (vgic.nr_irqs >> 5) - 1 | len(vgic.vcpus) - 1 << 5


def read_iidr(vgic: Vgic, _vcpu: Vcpu) -> int:
    return NO_REVISION | vgic.iidr_revision << 12


def revision_of(iidr: int) -> int:
    """The revision that `iidr` names.

    Raises RestoreError for a word that is not this distributor's with revision 0, 1 or 2.
    """
    revision = iidr >> 12 & 0xF
    if iidr & ~0xF000 != NO_REVISION or revision > 2:
        raise RestoreError(f"GICD_IIDR {iidr:#010x} is none of 0x4b01043b, 0x4b01143b, 0x4b01243b")
    return revision


def restore_iidr(vgic: Vgic, _vcpu: Vcpu, value: int) -> None:
    """Choose the revision that is written, as a VMM does before it restores the rest (F20, F24, F25)."""
    vgic.iidr_revision = revision_of(value)


# --- IGROUPR ----------------------------------------------------------------------------------------------------------


def read_group(vgic: Vgic, _vcpu: Vcpu, irqs: Irqs) -> int:
    return _bits(bool(irq.group) for irq in irqs) if vgic.iidr_revision >= 2 else 0


def write_group(vgic: Vgic, _vcpu: Vcpu, irqs: Irqs, value: int) -> None:
    if vgic.iidr_revision < 2:
        return
    for index, irq in enumerate(irqs):
        group = value >> index & 1
        if irq.group != group:
            irq.group = group
            vgic.reconsider(irq)


# --- I[SC]ENABLER -----------------------------------------------------------------------------------------------------


def read_enable(_vgic: Vgic, _vcpu: Vcpu, irqs: Irqs) -> int:
    return _bits(irq.enabled for irq in irqs)


def write_senable(vgic: Vgic, _vcpu: Vcpu, irqs: Irqs, value: int) -> None:
    """An already enabled interrupt is skipped entirely."""
    for irq in _selected(irqs, value):
        if irq.enabled:
            continue
        if irq.hw:
            vgic.resample_on_enable(irq)
        irq.enabled = True
        vgic.queue(irq)
        if irq.hw:
            vgic.hw_enable(irq)


def write_cenable(vgic: Vgic, _vcpu: Vcpu, irqs: Irqs, value: int) -> None:
    """Pending state stays; a listed interrupt leaves its ap_list at its holder's next exit."""
    for irq in _selected(irqs, value):
        if not irq.enabled:
            continue
        irq.enabled = False
        vgic.reload(irq)
        if irq.hw:
            vgic.hw_disable(irq)


def restore_senable(vgic: Vgic, _vcpu: Vcpu, irqs: Irqs, value: int) -> None:
    for irq in _selected(irqs, value):
        irq.enabled = True
        vgic.reconsider(irq)


def restore_cenable(vgic: Vgic, _vcpu: Vcpu, irqs: Irqs, value: int) -> None:
    for irq in _selected(irqs, value):
        irq.enabled = False
        vgic.reconsider(irq)


# --- I[SC]PENDR -------------------------------------------------------------------------------------------------------


def read_pending(vgic: Vgic, _vcpu: Vcpu, irqs: Irqs) -> int:
    value, bit = 0, 1
    for irq in irqs:
        if irq.pending_latch or (irq.is_level and (vgic.line_shown(irq) if irq.hw else irq.line_level)):
            value |= bit
        bit <<= 1
    return value


def peek_pending(vgic: Vgic, vcpu: Vcpu, irqs: Irqs) -> int:
    value = read_pending(vgic, vcpu, irqs)
    first = irqs[0].intid
    latched = 0
    for holder in vgic.seen_through(vcpu, first):
        for irq, word in vgic.held(holder):
            place = irq.intid - first
            if 0 <= place < len(irqs):
                latch = vgic.pending_through(irq, word)
                pending = latch or (irq.is_level and vgic.line_after_fold(irq, word))
                value = value & ~(1 << place) | pending << place
                latched |= latch << place
    if first < NR_PRIVATE:
        for place, irq in enumerate(irqs):
            if irq.owner is not None:  # the exit drives its line first
                latch = irq.pending_latch or bool(latched >> place & 1)
                level = irq.owner.level_at_exit(vcpu.id, irq.intid)
                value = value & ~(1 << place) | (latch or level) << place
    return value


def write_spending(vgic: Vgic, vcpu: Vcpu, irqs: Irqs, value: int) -> None:
    """Soft-pend; the SGI bits are read-only (F13)."""
    for irq in _selected(irqs, value):
        if vgic.pending_writable(irq):
            irq.pending_latch = True
            vgic.note_pend(vcpu, irq)
            vgic.queue(irq)
            if irq.hw:
                vgic.hw_set_pending(irq)


def write_cpending(vgic: Vgic, _vcpu: Vcpu, irqs: Irqs, value: int) -> None:
    """A level interrupt whose line is high stays pending; the SGI bits are read-only (F13)."""
    for irq in _selected(irqs, value):
        if vgic.pending_writable(irq):
            irq.pending_latch = False
            vgic.reload(irq)
            if irq.hw:
                vgic.hw_clear_pending(irq)


def restore_spending(vgic: Vgic, vcpu: Vcpu, irqs: Irqs, value: int) -> None:
    """Virtual state only; an SGI gets its own vCPU as source (F16)."""
    for irq in _selected(irqs, value):
        irq.pending_latch = True
        if irq.is_sgi:
            irq.source |= 1 << vcpu.id
        vgic.reconsider(irq)


def restore_cpending(vgic: Vgic, _vcpu: Vcpu, irqs: Irqs, value: int) -> None:
    """Virtual state only; an SGI loses all its sources (F16)."""
    for irq in _selected(irqs, value):
        irq.pending_latch = False
        irq.source = 0
        vgic.reconsider(irq)


# --- I[SC]ACTIVER -----------------------------------------------------------------------------------------------------


def read_active(_vgic: Vgic, _vcpu: Vcpu, irqs: Irqs) -> int:
    return _bits(irq.active for irq in irqs)


def peek_active(vgic: Vgic, vcpu: Vcpu, irqs: Irqs) -> int:
    overlay = vgic.access_overlay(vcpu, irqs[0].intid)
    return _bits(overlay[irq].active if irq in overlay else irq.active for irq in irqs)


def write_sactive(vgic: Vgic, vcpu: Vcpu, irqs: Irqs, value: int) -> None:
    for irq in _selected(irqs, value):
        vgic.change_active(vcpu, irq, True)


def write_cactive(vgic: Vgic, vcpu: Vcpu, irqs: Irqs, value: int) -> None:
    for irq in _selected(irqs, value):
        vgic.change_active(vcpu, irq, False)


def _restore_active(vgic: Vgic, irqs: Irqs, value: int, active: bool) -> None:
    """Virtual state only: not for hardware-mapped interrupts; an SGI is active for vCPU 0 (F10)."""
    for irq in _selected(irqs, value):
        if not irq.hw:
            irq.active = active
            irq.active_source = 0
            vgic.reconsider(irq)


def restore_sactive(vgic: Vgic, _vcpu: Vcpu, irqs: Irqs, value: int) -> None:
    _restore_active(vgic, irqs, value, active=True)


def restore_cactive(vgic: Vgic, _vcpu: Vcpu, irqs: Irqs, value: int) -> None:
    _restore_active(vgic, irqs, value, active=False)


# --- IPRIORITYR, ITARGETSR, ICFGR -------------------------------------------------------------------------------------


def read_priority(_vgic: Vgic, _vcpu: Vcpu, irqs: Irqs) -> int:
    return int.from_bytes([irq.priority for irq in irqs], "little")


def write_priority(vgic: Vgic, _vcpu: Vcpu, irqs: Irqs, value: int) -> None:
    for index, irq in enumerate(irqs):
        priority = value >> 8 * index & PRIORITY_MASK
        if irq.priority != priority:
            irq.priority = priority
            vgic.reload(irq)


def read_targets(_vgic: Vgic, _vcpu: Vcpu, irqs: Irqs) -> int:
    return int.from_bytes([irq.targets for irq in irqs], "little")


def write_targets(vgic: Vgic, _vcpu: Vcpu, irqs: Irqs, value: int) -> None:
    """SPIs only; of the existing vCPUs named, the lowest-numbered is the target."""
    if irqs[0].intid < NR_PRIVATE:
        return
    for index, irq in enumerate(irqs):
        vgic.set_targets(irq, value >> 8 * index & vgic.vcpu_mask)
        if irq.hw and irq.targets and irq.target_vcpu is not None:
            vgic.physical.set_affinity(irq.hwintid, irq.target_vcpu.pcpu)
        vgic.retargeted(irq)


def restore_targets(vgic: Vgic, _vcpu: Vcpu, irqs: Irqs, value: int) -> None:
    if irqs[0].intid < NR_PRIVATE:
        return
    for index, irq in enumerate(irqs):
        vgic.set_targets(irq, value >> 8 * index & vgic.vcpu_mask)
        vgic.reconsider(irq)


def read_config(_vgic: Vgic, _vcpu: Vcpu, irqs: Irqs) -> int:
    value = 0
    for index, irq in enumerate(irqs):
        if not irq.is_level:
            value |= 2 << 2 * index
    return value


def write_config(vgic: Vgic, _vcpu: Vcpu, irqs: Irqs, value: int) -> None:
    """SPIs only: the upper bit of each pair is edge; latch and line keep their values."""
    if irqs[0].intid < NR_PRIVATE:
        return
    for index, irq in enumerate(irqs):
        is_level = not value >> 2 * index & 2
        if irq.is_level != is_level:
            irq.is_level = is_level
            vgic.reconfigured(irq)


# --- SGIR, CPENDSGIR, SPENDSGIR ---------------------------------------------------------------------------------------


def write_sgir(vgic: Vgic, sender: Vcpu, value: int) -> None:
    """Send an SGI; of its targets only existing vCPUs count."""
    sgi, filter_ = value & 0xF, value >> 24 & 0x3
    match filter_:
        case 0:
            targets = value >> 16 & vgic.vcpu_mask
        case 1:
            targets = vgic.vcpu_mask & ~(1 << sender.id)
        case 2:
            targets = 1 << sender.id
        case _:
            return  # 0b11 is reserved: no effect (IHI 0048B 4.3.15)
    for vcpu in vgic.vcpus:
        if targets >> vcpu.id & 1:
            irq = vcpu.private[sgi]
            irq.pending_latch = True
            irq.source |= 1 << sender.id
            vgic.note_pend(vcpu, irq)
            vgic.queue(irq)


def read_sgi_sources(vgic: Vgic, _vcpu: Vcpu, irqs: Irqs) -> int:
    vgic.index_sgi_sources()
    return int.from_bytes([irq.source for irq in irqs], "little")


def peek_sgi_sources(vgic: Vgic, vcpu: Vcpu, irqs: Irqs) -> int:
    vgic.index_sgi_sources()
    overlay = vgic.access_overlay(vcpu, irqs[0].intid)
    return int.from_bytes([overlay[irq].source if irq in overlay else irq.source for irq in irqs], "little")


def write_csgi_sources(vgic: Vgic, _vcpu: Vcpu, irqs: Irqs, value: int) -> None:
    vgic.index_sgi_sources()
    for index, irq in enumerate(irqs):
        cleared = value >> 8 * index & 0xFF
        irq.source &= ~cleared
        if not irq.source:
            irq.pending_latch = False
        if cleared:
            vgic.reload(irq)


def write_ssgi_sources(vgic: Vgic, vcpu: Vcpu, irqs: Irqs, value: int) -> None:
    vgic.index_sgi_sources()
    for index, irq in enumerate(irqs):
        irq.source |= value >> 8 * index & 0xFF
        if irq.source:
            irq.pending_latch = True
            vgic.note_pend(vcpu, irq)
            vgic.queue(irq)


# --- the frame --------------------------------------------------------------------------------------------------------

_IDENTIFICATION: Final = (  # GIC-400, one byte per word (spec 5.2.11)
    ("GICD_ICPIDR4", 0xFD0, 0x04), ("GICD_ICPIDR5", 0xFD4, 0x00), ("GICD_ICPIDR6", 0xFD8, 0x00),
    ("GICD_ICPIDR7", 0xFDC, 0x00), ("GICD_ICPIDR0", 0xFE0, 0x90), ("GICD_ICPIDR1", 0xFE4, 0xB4),
    ("GICD_ICPIDR2", 0xFE8, 0x2B), ("GICD_ICPIDR3", 0xFEC, 0x00), ("GICD_ICCIDR0", 0xFF0, 0x0D),
    ("GICD_ICCIDR1", 0xFF4, 0xF0), ("GICD_ICCIDR2", 0xFF8, 0x05), ("GICD_ICCIDR3", 0xFFC, 0xB1),
)  # fmt: skip

DISTRIBUTOR: Final = (
    block("GICD_CTLR", 0x000, WORD, read_ctlr, write_ctlr, restore=write_ctlr, fields=CTLR, writable=1,
          doc="Distributor control"),
    block("GICD_TYPER", 0x004, WORD, read_typer, fields=TYPER, reset=None, doc="Interrupt controller type"),
    block("GICD_IIDR", 0x008, WORD, read_iidr, restore=restore_iidr, fields=IIDR, reset=None,
          doc="Implementer identification"),
    per_irq("GICD_IGROUPR", 0x080, 1, WORD, read_group, write_group, restore=write_group, writable=1,
            doc="Interrupt group"),
    per_irq("GICD_ISENABLER", 0x100, 1, WORD, read_enable, write_senable, restore=restore_senable, reset=(1, 0, 0),
            writable=1, effect="set", doc="Set-enable"),
    per_irq("GICD_ICENABLER", 0x180, 1, WORD, read_enable, write_cenable, restore=restore_cenable, reset=(1, 0, 0),
            writable=1, effect="clear", doc="Clear-enable"),
    per_irq("GICD_ISPENDR", 0x200, 1, WORD, read_pending, write_spending, peek=peek_pending,
            restore=restore_spending, writable=1, effect="set", live=True, doc="Set-pending; SGI bits read-only"),
    per_irq("GICD_ICPENDR", 0x280, 1, WORD, read_pending, write_cpending, peek=peek_pending,
            restore=restore_cpending, writable=1, effect="clear", live=True, doc="Clear-pending; SGI bits read-only"),
    per_irq("GICD_ISACTIVER", 0x300, 1, WORD, read_active, write_sactive, peek=peek_active,
            restore=restore_sactive, writable=1, effect="set", live=True, doc="Set-active"),
    per_irq("GICD_ICACTIVER", 0x380, 1, WORD, read_active, write_cactive, peek=peek_active,
            restore=restore_cactive, writable=1, effect="clear", live=True, doc="Clear-active"),
    per_irq("GICD_IPRIORITYR", 0x400, 8, BYTE_OR_WORD, read_priority, write_priority, restore=write_priority,
            writable=PRIORITY_MASK, doc="Priority, bits [7:3]"),
    per_irq("GICD_ITARGETSR", 0x800, 8, BYTE_OR_WORD, read_targets, write_targets, restore=restore_targets,
            reset=None, writable=0xFF, doc="CPU targets; of SGIs and PPIs read-only: the accessing vCPU"),
    per_irq("GICD_ICFGR", 0xC00, 2, WORD, read_config, write_config, restore=write_config, reset=(2, 0, 2),
            writable=2, folds=True, doc="Configuration: 2 edge, 0 level; of SGIs and PPIs read-only"),
    block("GICD_SGIR", 0xF00, WORD, None, write_sgir, fields=SGIR, effect="command",
          doc="Software-generated interrupt"),
    per_irq("GICD_CPENDSGIR", 0xF10, 8, BYTE_OR_WORD, read_sgi_sources, write_csgi_sources, count=16,
            peek=peek_sgi_sources, restore=write_csgi_sources, writable=0xFF, effect="clear", live=True,
            doc="SGI clear-pending, one bit per requesting CPU"),
    per_irq("GICD_SPENDSGIR", 0xF20, 8, BYTE_OR_WORD, read_sgi_sources, write_ssgi_sources, count=16,
            peek=peek_sgi_sources, restore=write_ssgi_sources, writable=0xFF, effect="set", live=True,
            doc="SGI set-pending, one bit per requesting CPU"),
)  # fmt: skip

GICD: Final = Frame(
    "GICD",
    0x1000,
    (
        *DISTRIBUTOR,
        *(
            block(name, offset, WORD, lambda _vgic, _vcpu, value=value: value, reset=value, doc="Identification")
            for name, offset, value in _IDENTIFICATION
        ),
    ),
)
