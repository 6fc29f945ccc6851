"""`monitor enter`, `exit`, `mode`, `power`, `time`, `reset`: what a debugger may do to the domain as a whole."""

from __future__ import annotations

from typing import Final

from vgicd.domain import operations as op
from vgicd.gdbstub import text
from vgicd.gdbstub.monitor import command
from vgicd.gdbstub.monitor.command import Command, Debugger, Usage
from vgicd.gdbstub.monitor.irqs import list_registers
from vgicd.gdbstub.monitor.state import mode_name
from vgicd.gdbstub.target import Refused

_MODES: Final = ("automatic", "explicit")
_TO_EXPLICIT: Final = "`monitor mode explicit` takes the world switch into your hands."


def _enter(debugger: Debugger, words: list[str]) -> list[str]:
    command.at_most(words, 1)
    vcpu = command.vcpu(debugger, words, 0)
    _needs_explicit(debugger)
    result = debugger.target.apply(op.Enter(vcpu))
    head = f"vCPU {vcpu} is inside the guest; order {result.order}"
    return [head, *list_registers(debugger.target, vcpu)[1:]]


def _exit(debugger: Debugger, words: list[str]) -> list[str]:
    command.at_most(words, 1)
    vcpu = command.vcpu(debugger, words, 0)
    _needs_explicit(debugger)
    target = debugger.target
    result = target.apply(op.Exit(vcpu))
    found: op.ExitState = result.value
    rows = [(f"LR{n}", f"{word:#010x}", text.list_register(word, target.names)) for n, word in enumerate(found.lrs)]
    return [
        f"vCPU {vcpu} has left the guest; order {result.order}; its list registers, as they were found:",
        *text.table(("lr", "word", "held"), rows, indent="  "),
    ]


def _needs_explicit(debugger: Debugger) -> None:
    if not debugger.target.domain.explicit:
        raise Refused(f"The domain switches worlds itself, in automatic mode. {_TO_EXPLICIT}")


def _mode(debugger: Debugger, words: list[str]) -> list[str]:
    command.at_most(words, 1)
    target = debugger.target
    if words:
        target.apply(op.Mode(command.choose(words[0], _MODES, "mode") == "explicit"))
    explicit = target.domain.explicit
    inside = [str(vcpu.id) for vcpu in target.domain.vgic.vcpus if vcpu.inside]
    lines = [f"{mode_name(target.domain)} mode; inside the guest: {' '.join(inside) or 'no vCPU'}"]
    if explicit:
        lines.append("vCPUs enter and leave the guest by `monitor enter` and `monitor exit` only.")
    return lines


def _power(debugger: Debugger, words: list[str]) -> list[str]:
    command.at_most(words, 2)
    if len(words) < 2:
        raise Usage("It takes a vCPU, and on or off.")
    vcpu = command.vcpu(debugger, words, 0)
    on = command.choose(words[1], ("on", "off"), "state of a vCPU") == "on"
    result = debugger.target.apply(op.VcpuPower(vcpu, on))
    return [f"vCPU {vcpu} is {'on' if on else 'off'}; order {result.order}"]


def _time(debugger: Debugger, words: list[str]) -> list[str]:
    command.at_most(words, 1)
    target = debugger.target
    if words:
        relative = words[0].startswith("+")
        try:
            ticks = int(words[0], 0)
        except ValueError:
            raise Usage(f"{words[0]!r} is no number of ticks: write 1000, or +1000 for that much later.") from None
        target.apply(op.Time(target.domain.now + ticks if relative else ticks))
    now, rate = target.domain.now, target.domain.config.timer_hz
    return [f"virtual time {now} ticks of {rate} Hz ({now / rate:.6f} s)"]


def _reset(debugger: Debugger, words: list[str]) -> list[str]:
    command.at_most(words, 0)
    target = debugger.target
    result = target.apply(op.Reset())
    if result.value:
        raise Refused(f"Creating the domain anew was refused with errno {-result.value}: it is as it was.")
    return [
        f"the domain is as it was created; order {result.order}, {mode_name(target.domain)} mode",
        "Its clients stay connected; a guest that runs finds its interrupt controller reset.",
    ]


COMMANDS: Final = (
    Command(
        "enter",
        "[VCPU]",
        "explicit mode: load the list registers and enter the guest",
        _enter,
        f"The selected vCPU unless VCPU says otherwise. {_TO_EXPLICIT}",
    ),
    Command(
        "exit",
        "[VCPU]",
        "explicit mode: leave the guest and fold the list registers",
        _exit,
        f"Shows the list registers as they were found. {_TO_EXPLICIT}",
    ),
    Command(
        "mode",
        "[automatic|explicit]",
        "who switches worlds",
        _mode,
        "automatic: every vCPU is inside between operations, and leaves for every access that traps.\n"
        "explicit: by `monitor enter` and `monitor exit` only, to set up races by hand; list registers can be written "
        "while their vCPU is inside.",
    ),
    Command("power", "VCPU on|off", "power a vCPU on or off, as PSCI would", _power),
    Command(
        "time",
        "[TICKS]",
        "show or advance virtual time",
        _time,
        "TICKS of the guest's counter since the beginning, or +TICKS from now. Time does not go back.",
    ),
    Command(
        "reset",
        "",
        "build the domain anew, with its present configuration",
        _reset,
        "Every interrupt, list register and device is as after creation. The order of operations goes on.",
    ),
)
