"""Is the interrupt asserted at all?  Lines, latches, SGI requests, the domain's devices and physical interrupts."""

from __future__ import annotations

from typing import Any, Final

from vgicd.domain import operations as op
from vgicd.domain.devices.bundle import VPL011_WINDOW, VTIMER_WINDOW
from vgicd.domain.devices.event_channel import EventChannel
from vgicd.domain.devices.vpl011 import RTI, RXI, TXI, VPL011, Vpl011
from vgicd.domain.devices.vtimer import ENABLE, IMASK, PHYSICAL, VTIMER, Vtimer
from vgicd.gdbstub import text
from vgicd.gdbstub.diagnosis.case import Case, Finding
from vgicd.hw import list_register as lr

_STEP: Final = "source"


def power(case: Case) -> Finding:
    """A vCPU that is off takes nothing."""
    vcpu = case.vcpu
    if vcpu.powered:
        return Finding("power", True, f"vCPU {vcpu.id} is on")
    return Finding(
        "power",
        False,
        f"vCPU {vcpu.id} is powered off",
        (op.VcpuPower(vcpu.id, True),),
        "The guest does it with PSCI CPU_ON, from another vCPU.",
    )


def source(case: Case) -> Finding:
    """Something must ask for it: a line, an edge, a write."""
    irq, state = case.irq, case.state
    if not case.vcpu.powered and case.is_private and case.variant == "correct":
        kept = irq.is_level and irq.line_level
        if not kept and (state.pending or irq.pending_latch):
            return Finding(_STEP, False, "pending, but that is forgotten when its vCPU is powered on", _trigger(case))
    if state.pending:
        return Finding(_STEP, True, _pending(case))
    if case.loaded and case.word is not None and case.word & lr.PENDING:
        return Finding(_STEP, True, f"LR{irq.slot} holds it pending, although nothing asserts it any more")
    if irq.is_sgi:
        return Finding(
            _STEP, False, "no vCPU has sent this SGI since it was last acknowledged", _trigger(case),
            "An SGI is sent by a write to GICD_SGIR; it has no line.",
        )  # fmt: skip
    if irq.owner is not None:
        return _device(case)
    if irq.hw:
        return _physical(case)
    if irq.is_level:
        return Finding(
            _STEP, False, "level-sensitive, its line is low and GICD_ISPENDR was not written", _trigger(case)
        )
    return Finding(
        _STEP,
        False,
        "edge-triggered, and no edge has come since it was last acknowledged",
        _trigger(case),
        f"If its device holds the line up instead, it is level-sensitive: clear the upper bit of its pair in "
        f"GICD_ICFGR{case.intid >> 4}." if not case.is_private else "",
    )  # fmt: skip


def _pending(case: Case) -> str:
    irq, state = case.irq, case.state
    words = []
    if irq.is_sgi:
        held = state.source
        words.append(f"sent by {text.vcpus(held)}" if held else "its latch is set")
    elif irq.is_level:
        if irq.line_level or not state.pending_latch:
            words.append("its line is high")
        if state.pending_latch:
            words.append("set by GICD_ISPENDR")
    else:
        words.append("an edge is latched")
    return f"pending: {' and '.join(words)}"


def _trigger(case: Case) -> tuple[Any, ...]:
    """What asserts an interrupt that has no device and is not tied."""
    if case.irq.is_sgi:
        return case.gicd("GICD_SGIR", 1 << 16 + case.vcpu.id | case.intid)
    case.changed = True
    owner = case.vcpu.id if case.is_private else op.NO_VCPU
    return (op.Line(case.intid, 1, owner, pulse=not case.irq.is_level),)


# --- devices of the domain ------------------------------------------------------------------------------------------


def _device(case: Case) -> Finding:
    owner = case.irq.owner
    if isinstance(owner, Vtimer):
        return _timer(case, owner)
    if isinstance(owner, EventChannel):
        mend = (op.EventChannel(case.vcpu.id, True),)
        return Finding(_STEP, False, "evtchn_upcall_pending of this vCPU is clear: no event channel asks", mend)
    if isinstance(owner, Vpl011):
        return _uart(case, owner)
    return Finding(_STEP, False, "the device of this domain that drives its line holds it low")


def _timer(case: Case, device: Vtimer) -> Finding:
    vcpu, prefix = case.vcpu.id, "CNTP" if case.intid == PHYSICAL else "CNTV"
    timer = device.timers[case.intid][vcpu]
    now = case.domain.now
    mend: tuple[Any, ...] = ()
    causes = []
    if not timer.ctl & ENABLE:
        causes.append(f"{prefix}_CTL.ENABLE is 0")
    if timer.ctl & IMASK:
        causes.append(f"{prefix}_CTL.IMASK is 1")
    if timer.ctl != ENABLE:
        mend += _write(case, VTIMER_WINDOW + VTIMER[f"{prefix}_CTL"].offset, ENABLE, 4)
    if now < timer.cval:
        causes.append(f"{prefix}_CVAL is {timer.cval} and virtual time {now}")
        mend += (op.Time(timer.cval),)
        case.changed = True
    return Finding(
        _STEP,
        False,
        f"the timer does not fire: {', '.join(causes)}",
        mend,
        f"The guest programs it with MSR {prefix}_CTL_EL0; virtual time is what the emulator says it is.",
    )


def _uart(case: Case, device: Vpl011) -> Finding:
    mask = _write(case, VPL011_WINDOW + VPL011["UARTIMSC"].offset, RXI | TXI | RTI, 4)
    if device.ris & device.imsc:
        said = f"the UART asks (UARTRIS {device.ris:#x}), but it is edge-triggered and no edge came since"
        return Finding(_STEP, False, said, mask, "Its line is driven anew by every change of UARTIMSC.")
    causes = [f"UARTRIS {device.ris:#x} and UARTIMSC {device.imsc:#x} have no bit in common"]
    mend = mask
    if not device.ris & RTI:
        mend += (op.Console(b"\r"),)
        causes.append("no byte has come in")
    return Finding(_STEP, False, f"the UART does not ask: {', '.join(causes)}", mend)


def _write(case: Case, offset: int, value: int, size: int) -> tuple[Any, ...]:
    case.changed = True
    return (*case.world.outside(case.vcpu), op.Write(case.vcpu.id, op.Space.DEVICE, offset, size, value))


# --- physical interrupts --------------------------------------------------------------------------------------------


def _physical(case: Case) -> Finding:
    """Tied to a physical interrupt, which fires when its line is up, it is enabled and not active."""
    irq = case.irq
    pirq = irq.hwintid
    physical = case.vgic.physical.irqs.get(pirq)
    asserted = case.vgic.physical.pending(pirq)
    causes = []
    mend: tuple[Any, ...] = ()
    if physical is not None and physical.active:
        causes.append("it is still active there, so it cannot fire again")
        mend += case.gicd("GICD_ICPENDR", 1)
    if irq.enabled and (physical is None or not physical.enabled):
        causes.append("it is disabled there")
        mend += case.gicd("GICD_ICENABLER", 1) + case.gicd("GICD_ISENABLER", 1)
    if not asserted:
        causes.append("its wire is low")
        mend += (op.PhysLine(pirq, 1),)
    case.changed = True
    if case.world.explicit:
        causes.append("explicit mode fires it by HW_IRQ only")
        mend += () if irq.enabled else case.gicd("GICD_ISENABLER", 1)
        mend += (op.HwIrq(pirq, irq.intid),)
    elif not causes:
        causes.append("it fires as soon as it is enabled")
    return Finding(_STEP, not causes, f"tied to physical interrupt {pirq}: {', '.join(causes)}", mend)
