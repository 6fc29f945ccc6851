"""`monitor irq` and `monitor lrs`: interrupts one by one, and as the list registers hold them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from vgicd.domain import operations as op
from vgicd.gdbstub import text
from vgicd.gdbstub.diagnosis import diagnose
from vgicd.gdbstub.monitor import command
from vgicd.gdbstub.monitor.command import Command, Debugger
from vgicd.gdbstub.target import Refused, Target
from vgicd.hw.gich import HCR, MISR
from vgicd.vgic.irq import NR_PRIVATE, NR_SGIS

_ACTIONS: Final = ("up", "down", "pulse")
COLUMNS: Final = ("irq", "vcpu", "on", "type", "line", "latch", "pend", "act", "prio", "targets", "list", "lr", "hw")
"""Of the table of interrupts, here and in `info os irqs`."""


# --- irq --------------------------------------------------------------------------------------------------------


def _irq(debugger: Debugger, words: list[str]) -> list[str]:
    if not words:
        return _all(debugger.target)
    number = command.intid(debugger, words[0])
    if len(words) > 1 and not words[1].removeprefix("vcpu").isdecimal():
        command.at_most(words, 3)
        return _drive(debugger, number, command.choose(words[1], _ACTIONS, "action"), words)
    command.at_most(words, 2)
    return _show(debugger.target, number, command.owner(debugger, number, words, 1))


def _all(target: Target) -> list[str]:
    found = list(states(target))
    rows = [row(state) for state in found if busy(state)]
    lines = (
        text.table(COLUMNS, rows) if rows else ["No interrupt is pending, active, listed, tied or has its line high."]
    )
    quiet: dict[int, list[int]] = {}
    for state in found:
        if state.enabled and not busy(state):
            quiet.setdefault(state.vcpu, []).append(state.intid)
    owned = (
        (f"of vCPU {owner}" if owner != op.NO_VCPU else "SPIs", text.ranges(all_)) for owner, all_ in quiet.items()
    )
    return [*lines, "", "Enabled and quiet:", *text.pairs(owned)] if quiet else lines


def _drive(debugger: Debugger, number: int, action: str, words: list[str]) -> list[str]:
    target = debugger.target
    name = text.irq_name(number, target.names)
    if number < NR_SGIS:
        raise Refused(_sgi(debugger, number))
    owner = command.owner(debugger, number, words, 2)
    operation = op.Line(number, action != "down", op.NO_VCPU if owner is None else owner, pulse=action == "pulse")
    result = target.apply(operation)
    done = {"up": "line high", "down": "line low", "pulse": "one pulse"}[action]
    whose = "" if owner is None else f" of vCPU {owner}"
    lines = [f"{name}{whose}: {done}; order {result.order}; outputs: {text.outputs(result.outputs, target.vcpus)}"]
    if action != "down" and not diagnose(target.domain, number, owner).delivered:
        vcpu = "" if owner is None else f" {owner}"
        lines.append(f"It is not signalled: `monitor why {number}{vcpu}` tells what holds it back.")
    return lines


def _sgi(debugger: Debugger, number: int) -> str:
    to_self = 2 << 24 | number
    to_one = 1 << 16 + debugger.vcpu | number
    return (
        f"irq{number} is an SGI: software sends it, and it has no line. "
        f"`set var *(unsigned int *)&gicd.SGIR = {to_one:#x}` sends it to vCPU {debugger.vcpu}, "
        f"{to_self:#x} to the selected one itself."
    )


def _show(target: Target, number: int, owner: int | None) -> list[str]:
    state: op.IrqState = target.ask(op.IrqInfo(number, op.NO_VCPU if owner is None else owner))
    whose = "" if owner is None else f" of vCPU {owner}"
    head = f"{text.irq_name(number, target.names)}{whose}: {text.kind_of(number)}, {_trigger(state)}"
    vcpu = "" if owner is None else f" {owner}"
    return [head, *text.pairs(_story(state, target)), f"`monitor why {number}{vcpu}` follows it to the guest."]


def _trigger(state: op.IrqState) -> str:
    return "level-sensitive" if state.is_level else "edge-triggered"


def _story(state: op.IrqState, target: Target) -> Iterator[tuple[str, Any]]:
    sgi = state.intid < NR_SGIS
    yield "enabled", state.enabled
    yield "line", None if sgi else "high" if state.line_level else "low"
    yield "pending", state.pending
    yield "pending latch", state.pending_latch
    yield "pending from", f"cpu {text.bits(state.source)}" if sgi and state.source else None
    yield "active", state.active
    yield "active from", f"cpu {state.active_source}" if sgi and state.active else None
    yield "group", state.group
    yield "priority", f"{state.priority:#04x}"
    if state.intid >= NR_PRIVATE:
        yield "targets", f"{state.targets:#04x}: {text.vcpus(state.targets)}"
        yield "goes to", "no vCPU" if state.target < 0 else f"vCPU {state.target}"
        yield "hardware", f"tied to physical interrupt {state.hwintid}" if state.hw else None
    yield "ap_list", f"of vCPU {state.listed}, position {state.position}" if state.listed >= 0 else "none"
    if state.lr >= 0:
        held = text.list_register(state.lr_value, target.names)
        yield "list register", f"LR{state.lr} of vCPU {state.listed} = {state.lr_value:#010x}: {held}"
    else:
        yield "list register", "none"


def states(target: Target) -> Iterator[op.IrqState]:
    """Every interrupt: each vCPU's private ones, then the SPIs."""
    for vcpu in range(target.vcpus):
        for number in range(NR_PRIVATE):
            yield target.ask(op.IrqInfo(number, vcpu))
    for number in range(NR_PRIVATE, target.domain.vgic.nr_irqs):
        yield target.ask(op.IrqInfo(number))


def busy(state: op.IrqState) -> bool:
    """Pending, active, listed, tied, or with its line high."""
    return state.pending or state.active or state.line_level or state.listed >= 0 or state.hw


def row(state: op.IrqState) -> tuple[Any, ...]:
    """The interrupt in a table with COLUMNS."""
    return (
        state.intid,
        None if state.vcpu == op.NO_VCPU else state.vcpu,
        state.enabled,
        "level" if state.is_level else "edge",
        "high" if state.line_level else "low",
        state.pending_latch,
        state.pending,
        state.active,
        f"{state.priority:#04x}",
        f"{state.targets:#04x}",
        f"{state.listed}[{state.position}]" if state.listed >= 0 else None,
        state.lr if state.lr >= 0 else None,
        state.hwintid if state.hw else None,
    )


# --- lrs --------------------------------------------------------------------------------------------------------


def _lrs(debugger: Debugger, words: list[str]) -> list[str]:
    command.at_most(words, 1)
    target = debugger.target
    everybody = bool(words) and "all".startswith(words[0].lower())
    chosen = range(target.vcpus) if everybody else (command.vcpu(debugger, words, 0),)
    lines: list[str] = []
    for vcpu in chosen:
        lines += [*([""] if lines else []), *list_registers(target, vcpu)]
    return lines


def list_registers(target: Target, vcpu: int) -> list[str]:
    """The list registers of `vcpu` and the state of the virtual interface around them."""
    state: op.LrState = target.ask(op.LrGet(vcpu))
    where = "inside the guest" if state.inside else "outside the guest"
    used = len(state.lrs) - state.elrsr.bit_count()
    rows = [
        (f"LR{index}", f"{word:#010x}", text.list_register(word, target.names)) for index, word in enumerate(state.lrs)
    ]
    return [
        f"vCPU {vcpu}: {where}, {used} of {len(state.lrs)} list registers used",
        f"  HCR {state.hcr:#010x} {text.flags(HCR, state.hcr)}; MISR {text.flags(MISR, state.misr)}",
        f"  EISR {text.bits(state.eisr)}; ELRSR {text.bits(state.elrsr)}; APR {state.apr:#010x}",
        *text.table(("lr", "word", "holds"), rows, indent="  "),
    ]


COMMANDS: Final = (
    Command(
        "irq",
        "[N [up|down|pulse] [VCPU]]",
        "show an interrupt, or drive its input line",
        _irq,
        "Without N: a table of all in which something is going on. N is an INTID or a name such as irq27_vtimer.\n"
        "up and down set the level of its line; pulse raises and lowers it, one trigger of an edge interrupt.\n"
        "A PPI is that of the selected vCPU unless VCPU says otherwise. SGIs have no line: write GICD_SGIR.",
    ),
    Command(
        "lrs",
        "[VCPU|all]",
        "show list registers and GICH of a vCPU",
        _lrs,
        "The selected vCPU's unless VCPU says otherwise. `set var gich.LR[0]...` changes them, in explicit mode "
        "while the vCPU is inside the guest.",
    ),
)
