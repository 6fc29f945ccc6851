"""`monitor trace`, `freeze` and `why`: what happens, who is held meanwhile, and why not."""

from __future__ import annotations

from textwrap import wrap
from typing import Final

from vgicd.domain.events import EventKind
from vgicd.gdbstub import text
from vgicd.gdbstub.diagnosis import Unknown, explain
from vgicd.gdbstub.monitor import command
from vgicd.gdbstub.monitor.command import Command, Debugger
from vgicd.gdbstub.target import Refused

_KINDS: Final = {kind.name.lower(): kind for kind in EventKind}
_ALL: Final = (1 << len(EventKind)) - 1
_FREEZES: Final = ("auto", "on", "off")
_FREEZE_MEANS: Final = {
    "auto": "the guest is held while its vCPUs are stopped here",
    "on": "the guest is held, after `continue` too, until `freeze auto` or `off`",
    "off": "the guest is never held: stops are reported, and it goes on",
}
# gdb sends no thread with a monitor command; after `info threads` the one that it has named last is another than the
# selected one.
_OF_WHOM: Final = (
    "Asked of vCPU {vcpu}, which gdb has named last; after `info threads` that need not be the selected thread. "
    "`monitor why {number} {other}` asks of another."
)


# --- trace ------------------------------------------------------------------------------------------------------


def _trace(debugger: Debugger, words: list[str]) -> list[str]:
    if not words:
        return _trace_shown(debugger)
    options = ("on", "off", *_KINDS)
    chosen = [command.choose(word, options, "kind of event") for word in words]
    if "off" in chosen:
        command.at_most(chosen, 1)
        debugger.set_trace(0)
        return _trace_shown(debugger)
    if debugger.non_stop:
        raise Refused(
            "A stub may print nothing by itself in non-stop mode. Use `dprintf vgic_ack,...` and the like, run "
            "`vgicctl watch` beside gdb, or connect again after `set non-stop off`."
        )
    debugger.set_trace(_ALL if "on" in chosen else sum({1 << _KINDS[word] for word in chosen}))
    return _trace_shown(debugger)


def _trace_shown(debugger: Debugger) -> list[str]:
    mask = debugger.trace
    if not mask:
        listed = wrap(" ".join(_KINDS), text.WIDTH, initial_indent="  ", subsequent_indent="  ")
        return ["trace off; `monitor trace on`, or the kinds you want:", *listed]
    kinds = "all kinds" if mask == _ALL else " ".join(name for name, kind in _KINDS.items() if mask >> kind & 1)
    return [f"trace on: {kinds}", "Events are printed while the guest runs: `continue`, and Ctrl-C to come back."]


# --- freeze -----------------------------------------------------------------------------------------------------


def _freeze(debugger: Debugger, words: list[str]) -> list[str]:
    command.at_most(words, 1)
    if words:
        return [debugger.set_freeze(command.choose(words[0], _FREEZES, "way to freeze"))]
    mode, held = debugger.freeze_mode, debugger.held()
    return [f"freeze {mode}: {_FREEZE_MEANS[mode]}", f"held by {text.listed(held)}" if held else "held by nobody"]


# --- why --------------------------------------------------------------------------------------------------------


def _why(debugger: Debugger, words: list[str]) -> list[str]:
    command.at_most(words, 2)
    if not words:
        return [*_refusal(debugger), *_guest(debugger)]
    target = debugger.target
    number = command.intid(debugger, words[0])
    asked = command.vcpu(debugger, words, 1) if len(words) > 1 or number < 32 else None
    try:
        lines = explain(target.domain, number, asked, names=target.names, selected=debugger.vcpu)
    except Unknown as unknown:
        raise Refused(str(unknown)) from None
    if number < 32 and len(words) == 1 and target.vcpus > 1:
        lines += wrap(_OF_WHOM.format(number=number, vcpu=asked, other=int(not asked)), text.WIDTH)
    return [*lines, *_guest(debugger)] if debugger.held() else lines


def _refusal(debugger: Debugger) -> list[str]:
    """What was refused last; gdb asks for nothing outside the regions of the memory map."""
    if debugger.refusal:
        about = f"{debugger.refused}: " if debugger.refused else ""
        said = f"Last refusal: {about}{debugger.refusal}"
    else:
        said = "Nothing was refused."
    return [said, "Addresses that `info mem` does not list gdb refuses by itself, without asking."]


def _guest(debugger: Debugger) -> list[str]:
    """Why the guest does not run, if it does not."""
    held = debugger.held()
    here = wrap(f"Here: {debugger.run_state()}.", text.WIDTH)
    who = debugger.target.who
    if not held:
        return ["The guest runs.", *here]
    lines = [f"The guest does not run: {text.hold(held)} it."]
    if who in held and debugger.freeze_mode == "on":
        lines.append("`monitor freeze off` or `detach` lets it go on; `continue` does after `monitor freeze auto`.")
    elif who in held:
        lines.append("`continue` lets it go on, and so does `detach`.")
    others = [other for other in held if other != who]
    if others:
        they = f"{text.listed(others)} {'continues, detaches or is' if len(others) == 1 else 'continue, detach or are'}"
        lines.append(f"It goes on when {they} gone; `info os clients` shows who that is.")
    return [*lines, *here]


COMMANDS: Final = (
    Command(
        "trace",
        "[on|off|KIND...]",
        "print events while the guest runs",
        _trace,
        f"In all-stop mode, while `continue` waits for a stop. Kinds:\n{' '.join(_KINDS)}",
    ),
    Command(
        "freeze",
        "[auto|on|off]",
        "what holds the guest while you look",
        _freeze,
        "\n".join(f"{mode:<4}  {meaning}" for mode, meaning in _FREEZE_MEANS.items()),
    ),
    Command(
        "why",
        "[N [VCPU]]",
        "why was that refused, or why is interrupt N not delivered",
        _why,
        "Without N: the last refusal and of what, and why the guest does not run.\n"
        "With N: every step from the interrupt's source to the guest's vIRQ, what holds it back, and what to type "
        "against it. An SPI is followed to the vCPU that it goes to, or to VCPU.",
    ),
)
