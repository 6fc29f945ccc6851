"""Is the interrupt in a list register, and does the virtual CPU interface signal it (IHI 0048B 3.3, 5.3)?"""

from __future__ import annotations

from typing import Any, Final

from vgicd.domain import operations as op
from vgicd.gdbstub import text
from vgicd.gdbstub.diagnosis.case import ALL_PRIORITIES, IDLE_PRIORITY, Case, Finding, group_priority
from vgicd.gdbstub.diagnosis.distributor import forwarded
from vgicd.gdbstub.nesting import Active, active_interrupts
from vgicd.hw import list_register as lr
from vgicd.hw.gich import EN, GICH
from vgicd.hw.gicv import ACK_CTL, CTLR, EOI_MODE, peek_iar
from vgicd.vgic.irq import NR_PRIVATE, VgicIrq
from vgicd.vgic.vcpu import Vcpu

_PRIORITY: Final = lr.SOFTWARE["Priority"]
_CBPR: Final = CTLR["CBPR"].mask
_STEP: Final = 8  # from one of the 32 priorities to the next


# --- in service -----------------------------------------------------------------------------------------------------


def active(case: Case) -> Finding | None:
    """An interrupt that is being handled is not delivered again before its end."""
    irq = case.irq
    if not case.state.active:
        return None
    holder = irq.vcpu
    if holder is None:
        return Finding("active", False, "active on no vCPU's list", case.gicd("GICD_ICACTIVER", 1))
    said = f"vCPU {holder.id} has acknowledged it and not ended it"
    if not holder.powered and case.variant == "correct":
        mend = case.power_on(holder)
        return Finding("active", False, f"{said}, and is powered off", mend, "CPU_ON forgets what it had active.")
    hint = "The guest's handler does this. "
    if holder.gich.ctlr & EOI_MODE:
        hint += "GICC_CTLR.EOImode is 1: GICC_EOIR drops the priority only, GICC_DIR deactivates. "
    found = case.active_on(holder)
    own = next(other for other in found if other.intid == irq.intid)
    inner = [other for other in found[: found.index(own)] if other.running] if own.running else []
    if inner:
        said += f"; inside it, {', '.join(f'irq{other.intid}' for other in inner)}"
        hint += "Interrupts are ended in reverse order, the innermost first."
    mend = () if holder.powered else case.power_on(holder)
    for other in inner:
        mend += case.end(other, holder)
    if own.lr < 0:
        hint += " It is in no list register: the guest's EOI is counted in GICH_HCR.EOICount, and done at its exit."
    gich = holder.gich
    if own.lr < 0 and not gich.ctlr & EOI_MODE:
        mend += _deactivate_outside(case, holder, own)
    elif not gich.apr and not gich.ctlr & EOI_MODE and not gich.idle_deactivates:
        hint = "Nothing runs, and eoi_when_idle = ignore: its GICC_EOIR would do nothing."
        mend += case.gicd("GICD_ICACTIVER", 1)
    else:
        mend += case.end(own, holder)
    case.changed = case.changed or case.world.explicit
    return Finding("active", False, said, mend, hint.strip())


def _deactivate_outside(case: Case, holder: Vcpu, own: Active) -> tuple[Any, ...]:
    """It lost its list register to others: an EOIR would be counted, and meant for whichever the hypervisor finds."""
    if case.variant == "correct":
        case.ended.add((holder.id, own.intid))
        return case.gicd("GICD_ICACTIVER", 1)
    return case.end(own, holder) + case.any_exit(holder)


# --- the list registers ---------------------------------------------------------------------------------------------


def world(case: Case) -> Finding | None:
    """Explicit mode: only a vCPU inside the guest has list registers, and only those it entered with."""
    if not case.world.explicit:
        return None
    vcpu = case.vcpu
    inside = case.world.is_inside(vcpu)
    if vcpu.inside:
        said = f"vCPU {vcpu.id} is inside the guest"
        if inside:
            return Finding("world", True, said)
        return Finding("world", True, f"{said}; it left for the writes above", case.world.inside(vcpu))
    said = f"explicit mode, and vCPU {vcpu.id} is outside the guest: its list registers are empty"
    return Finding("world", False, said, case.world.inside(vcpu))


def list_register(case: Case) -> Finding | None:
    """On the list, it must be in a list register, pending and not active."""
    irq, vcpu = case.irq, case.vcpu
    if irq.vcpu is not vcpu or not vcpu.inside:
        return None
    if case.word is not None:
        said = f"LR{irq.slot} = {case.word:#010x}"
        state = _state(case.word)
        if case.word & lr.STATE == lr.PENDING or case.state.active:
            ok = case.word & lr.STATE == lr.PENDING or (vcpu.id, irq.intid) in case.ended
            return Finding("list register", ok, f"{said}: {state}", _reload(case) if case.changed else ())
        return Finding(
            "list register", False, f"{said}: {state}, and the next one is loaded when vCPU {vcpu.id} exits",
            _reload(case, force=True),
        )  # fmt: skip
    if not forwarded(case):
        return None
    gich = case.gich
    held = [word for word in gich.lrs if word & lr.STATE]
    if len(held) < gich.nr_lrs:
        return Finding(
            "list register", False, f"in none: it was queued after vCPU {vcpu.id} entered, which did not exit since",
            _reload(case, force=True),
        )  # fmt: skip
    return _overflow(case, held)


def _state(word: int) -> str:
    return lr.SOFTWARE["State"].values[lr.SOFTWARE["State"].get(word)]


def _reload(case: Case, *, force: bool = False) -> tuple[Any, ...]:
    """`vcpu` exits and enters, so that its list registers are loaded anew; by itself it does so in automatic mode."""
    if case.world.explicit:
        return case.any_exit(case.vcpu)
    return case.any_exit(case.vcpu) if force else ()


def _overflow(case: Case, held: list[int]) -> Finding:
    vcpu = case.vcpu
    pending = [word for word in held if word & lr.STATE == lr.PENDING]
    said = f"in none: all {len(held)} of vCPU {vcpu.id} are taken ({_summary(held)})"
    worst = max((_PRIORITY.get(word) << 3 for word in pending), default=0)
    if case.priority < worst and case.state.active:
        said += "; once it is ended, as above, it takes the place of one that waits"
        return Finding("list register", False, said)
    if case.priority < worst:
        said += f"; it ranks above one of them since vCPU {vcpu.id} entered"
        return Finding("list register", False, said, _reload(case, force=True))
    hint = "When the guest has ended them, a maintenance interrupt (GICH_MISR.U, NP) loads it."
    if worst >= _STEP:
        better = worst - _STEP
        mend = case.gicd("GICD_IPRIORITYR", better)
        case.priority = better
        hint += f" A higher priority than {worst:#04x} takes the place of one that is pending."
        return Finding("list register", False, said, mend + (_reload(case) if case.world.explicit else ()), hint)
    return Finding("list register", False, said, _serve_all(case, held), hint)


def _summary(held: list[int]) -> str:
    shown = ", ".join(f"irq{word & lr.VIRTUAL_ID} {_state(word)} {_PRIORITY.get(word) << 3:#04x}" for word in held[:4])
    return f"{shown}, ..." if len(held) > 4 else shown


def _serve_all(case: Case, held: list[int]) -> tuple[Any, ...]:
    """The guest takes and ends all that is in list registers, the active ones first."""
    mend: tuple[Any, ...] = ()
    for other in case.active_on(case.vcpu):
        if other.lr >= 0:
            mend += case.end(other, case.vcpu)
    pending = [word for word in held if word & lr.STATE == lr.PENDING]
    for word in sorted(pending, key=_PRIORITY.get):
        mend += _serve(case, word)
    return mend + (_reload(case) if case.world.explicit else ())


def _serve(case: Case, word: int) -> tuple[Any, ...]:
    """The guest acknowledges the interrupt of LR `word`, quiets its device, and ends it."""
    irq = case.vgic.lookup(case.vcpu, word & lr.VIRTUAL_ID)
    if irq is None:
        return ()
    case.ended.add((case.vcpu.id, irq.intid))
    group = word >> lr.GROUP_SHIFT & 1
    if irq.is_sgi:
        return _serve_sgi(case, irq, group, lr.SOFTWARE["CPUID"].get(word))
    mend = case.acknowledge(group)
    if irq.is_level and irq.line_level and irq.owner is None and not irq.hw:
        mend += (op.Line(irq.intid, 0, case.vcpu.id if irq.intid < NR_PRIVATE else op.NO_VCPU),)
    elif irq.is_level and (irq.owner is not None or irq.hw):
        mend += case.gicd("GICD_ICENABLER", 1, irq.intid) + case.world.inside(case.vcpu)
    return mend + _finish(case, irq.intid)


def _serve_sgi(case: Case, irq: VgicIrq, group: int, source: int) -> tuple[Any, ...]:
    """One instance for each vCPU that has sent it; the next is loaded when the vCPU exits."""
    mend = case.acknowledge(group) + _finish(case, irq.intid | source << lr.SOURCE_SHIFT)
    for cpu in range(irq.source.bit_length()):
        if irq.source >> cpu & 1:
            mend += case.any_exit(case.vcpu) if case.world.explicit else ()
            mend += case.acknowledge(group) + _finish(case, irq.intid | cpu << lr.SOURCE_SHIFT)
    return mend


def _finish(case: Case, value: int) -> tuple[Any, ...]:
    mend = case.gicc("GICC_EOIR", value)
    return mend + case.gicc("GICC_DIR", value) if case.gich.ctlr & EOI_MODE else mend


# --- the CPU interface ----------------------------------------------------------------------------------------------


def virtual_interface(case: Case) -> Finding | None:
    """GICH_HCR.En."""
    vcpu = case.vcpu
    if not vcpu.inside:
        return None
    if case.gich.hcr & EN:
        return Finding("interface", True, "GICH_HCR.En is 1")
    said = "GICH_HCR.En is 0: the virtual interface is off"
    if case.world.explicit:
        mend = (*case.world.inside(vcpu), op.Gich(vcpu.id, GICH["GICH_HCR"].offset, case.gich.hcr | EN))
        return Finding("interface", False, said, mend)
    return Finding("interface", False, said, case.any_exit(vcpu), "The next entry with anything listed sets it.")


def group_enable(case: Case) -> Finding:
    """GICC_CTLR, as the guest set it."""
    name = f"GICC_CTLR.EnableGrp{case.group}"
    if case.gich.ctlr >> case.group & 1:
        return Finding("group", True, f"{name} is 1")
    said = f"{name} of vCPU {case.vcpu.id} is 0: group {case.group} is not signalled"
    hint = ""
    if case.variant == "xen" and not case.group:
        hint = "Everything is delivered as group 0 here, although GICD_IGROUPR reads as ones."
    mend = case.gicc("GICC_CTLR", case.gich.ctlr | 1 << case.group)
    return Finding("group", False, said, mend, hint)


def priority_mask(case: Case) -> Finding:
    """GICC_PMR."""
    pmr = case.gich.pmr
    priority = f"priority {case.priority:#04x}{'' if case.priority == case.found_priority else ' (as written above)'}"
    if case.priority < pmr:
        return Finding("mask", True, f"{priority} is above the mask, GICC_PMR {pmr:#04x}")
    said = f"{priority} is not above the mask: GICC_PMR of vCPU {case.vcpu.id} is {pmr:#04x}"
    mend = case.gicc("GICC_PMR", ALL_PRIORITIES) if case.priority < IDLE_PRIORITY else ()
    return Finding("mask", False, said, mend, "A lower value is a higher priority; only values below the mask pass.")


def running_priority(case: Case) -> Finding:
    """What is active must be preempted: a strictly higher group priority."""
    gich, vcpu = case.gich, case.vcpu
    own = group_priority(gich, case.priority, case.group)
    now = gich.running_priority()
    if not gich.apr or own < now:
        idle = "nothing runs" if not gich.apr else f"{own:#04x} preempts the running priority, GICC_RPR {now:#04x}"
        return Finding("running", True, idle)
    running = [
        other for other in active_interrupts(case.vgic, vcpu) if other.running and case.level_of(vcpu, other) <= own
    ]
    names = ", ".join(f"irq{other.intid} at {other.priority:#04x}" for other in running)
    said = f"GICC_RPR of vCPU {vcpu.id} is {now:#04x}, and {case.priority:#04x} does not preempt it"
    said += f": {names}" if names else ": no interrupt is active there, but none was ended with GICC_EOIR either"
    mend = _drop(case, running, own)
    hint = _binary_point(case, running) if mend else "It is dropped by the writes above."
    return Finding("running", False, said, mend, hint)


def _drop(case: Case, running: list[Active], own: int) -> tuple[Any, ...]:
    """The guest ends what runs at `own` or above, the innermost first; a priority nobody runs at is struck out."""
    mend: tuple[Any, ...] = ()
    vcpu = case.vcpu
    waiting = [other for other in running if (vcpu.id, other.intid) not in case.ended and other.lr >= 0]
    while case.apr:
        lowest = case.apr & -case.apr
        level = lowest.bit_length() - 1 << 3
        if level > own:
            break
        first = next((other for other in waiting if case.level_of(vcpu, other) == level), None)
        if first is None:
            case.apr ^= lowest
            mend += case.gicc("GICC_APR0", case.apr)
        else:
            waiting.remove(first)
            mend += case.end(first, vcpu)
    return mend


def _binary_point(case: Case, running: list[Active]) -> str:
    if not any(other.priority > case.priority for other in running):
        return ""
    aliased = case.group and not case.gich.ctlr & _CBPR
    name, point = ("GICC_ABPR", case.gich.abpr) if aliased else ("GICC_BPR", case.gich.bpr)
    return f"{name} is {point}, so only the upper bits of priorities decide who preempts whom: lower it."


def ahead(case: Case) -> Finding | None:
    """Of what is pending, the highest priority is signalled first; of equals, the lowest list register."""
    vcpu = case.vcpu
    if not vcpu.inside:
        return None
    own = (case.priority, case.irq.slot if case.loaded else lr.PRIORITY)
    before = sorted(
        (_PRIORITY.get(word) << 3, slot, word)
        for slot, word in enumerate(case.gich.lrs)
        if word & lr.STATE == lr.PENDING
        and case.gich.ctlr >> (word >> lr.GROUP_SHIFT & 1) & 1
        and (_PRIORITY.get(word) << 3, slot) < own
        and (vcpu.id, word & lr.VIRTUAL_ID) not in case.ended
    )
    if not before:
        return Finding("rank", True, "nothing else of a higher priority is pending")
    names = ", ".join(f"irq{word & lr.VIRTUAL_ID} ({level:#04x})" for level, _, word in before)
    mend: tuple[Any, ...] = ()
    for _, _, word in before:
        mend += _serve(case, word)
    return Finding("rank", False, f"signalled before it: {names}", mend, "The guest takes the highest first.")


def acknowledge(case: Case) -> Finding | None:
    """An interrupt of group 1 is not answered by GICC_IAR unless GICC_CTLR.AckCtl says so."""
    if not case.group or case.gich.ctlr & ACK_CTL:
        return None
    ctlr = case.gich.ctlr | ACK_CTL | 1 << case.group
    return Finding(
        "acknowledge", False, "of group 1, with GICC_CTLR.AckCtl 0: GICC_IAR answers 1022 and acknowledges nothing",
        case.gicc("GICC_CTLR", ctlr), "Read GICC_AIAR for group 1, or make it group 0 in GICD_IGROUPR.",
    )  # fmt: skip


def signal(case: Case) -> Finding | None:
    """It is signalled now; None if it is not."""
    vcpu = case.vcpu
    if not case.loaded or not vcpu.inside or case.gich.signalled() != case.irq.slot:
        return None
    if case.group and not case.gich.ctlr & ACK_CTL:
        return None
    levels = case.domain.outputs >> 2 * vcpu.id & 3
    line = "vFIQ" if levels & 2 else "vIRQ"
    return Finding(
        "signal",
        True,
        f"{line} of vCPU {vcpu.id} is high, and GICC_IAR answers {text.identity(peek_iar(case.gich), {})}",
    )
