"""What people ask in words: gdb's command `monitor`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Final, NamedTuple

from vgicd_machine.board.timers import FREQUENCY, PHYSICAL_PPI, VIRTUAL_PPI
from vgicd_machine.core import engine
from vgicd_machine.core.arm64 import PHYSICAL_TIMER_CRM, VIRTUAL_TIMER_CRM, exception_level
from vgicd_machine.gdb.refusal import Refused
from vgicd_machine.gdb.registers import REGISTERS, SYSTEM_REGISTERS
from vgicd_machine.machine import Machine

if TYPE_CHECKING:
    from vgicd_machine.gdb.stub import Stub

_ATTRIBUTES: Final = ((54, "not executable at EL0"), (53, "not executable at EL1"), (7, "read-only"), (6, "EL0 may"))


def state(machine: Machine, index: int) -> str:
    """What CPU `index` does, in a few words."""
    cpu = machine.cpus[index]
    core = cpu.engine
    if core is None:
        return "off"
    pstate = core.read(engine.PSTATE)
    masked = "".join(letter for bit, letter in ((9, "D"), (8, "A"), (7, "I"), (6, "F")) if pstate >> bit & 1)
    lines = " ".join(name for bit, name in enumerate(("irq=HIGH", "fiq=HIGH")) if cpu.lines >> bit & 1)
    level = exception_level(pstate)
    parts = [f"EL{level}{'' if not level else 'h' if pstate & 1 else 't'}", f"masks {masked or 'nothing'}"]
    if lines:
        parts.append(lines)
    if cpu.halted:
        parts.append("in WFI")
    elif cpu.napping:
        parts.append("in WFE")
    return ", ".join(parts)


def run(stub: Stub, line: str) -> str:
    """The answer to `monitor LINE`. Raises `Refused`."""
    words = line.split() or ["help"]
    found = [row for name, row in COMMANDS.items() if name.startswith(words[0])]
    exact = COMMANDS.get(words[0])
    if exact is None and len(found) != 1:
        return f"There is no command {words[0]!r}.\n{_help(stub, [])}"
    row = exact or found[0]
    try:
        return row.answer(stub, words[1:])
    except Refused as refused:
        return f"{refused}\n"


class Command(NamedTuple):
    """`monitor`'s word, its arguments, what it answers, and who does."""

    usage: str
    help: str
    answer: Callable[[Stub, list[str]], str]


def _help(_stub: Stub, _: list[str]) -> str:
    width = max(len(command.usage) for command in COMMANDS.values())
    return "".join(f"{command.usage:<{width}}  {command.help}\n" for command in COMMANDS.values())


def _info(stub: Stub, _: list[str]) -> str:
    machine = stub.machine
    now = machine.now
    return f"virtual time {now} ticks, {now / FREQUENCY:.6f} s\n" + "".join(
        f"cpu{cpu.index}  {state(machine, cpu.index)}\n{''.join(_timers(machine, cpu.index))}" for cpu in machine.cpus
    )


def _timers(machine: Machine, cpu: int) -> Iterator[str]:
    for name, ppi, crm in (("virtual", VIRTUAL_PPI, VIRTUAL_TIMER_CRM), ("physical", PHYSICAL_PPI, PHYSICAL_TIMER_CRM)):
        timer = machine.timers.timer(cpu, crm)
        if not timer.enabled:
            continue
        left = timer.compare - machine.now
        due = "condition met" if timer.met else f"due in {left} ticks, {left / FREQUENCY * 1e6:.1f} us"
        mask = ", masked" if timer.masked else ""
        yield f"      {name} timer: PPI {ppi} {'HIGH' if timer.line else 'low'}, {due}{mask}\n"


def _system(stub: Stub, _: list[str]) -> str:
    subject = stub.on()
    width = max(len(register.name) for register in SYSTEM_REGISTERS)
    return "".join(f"{register.name:<{width}}  {register.read(subject):#018x}\n" for register in SYSTEM_REGISTERS)


def _physical(stub: Stub, words: list[str]) -> str:
    if words:
        if words[0] not in ("on", "off"):
            raise Refused("It is `monitor physical on` or `off`.")
        stub.view.physical = words[0] == "on"
    kind = "physical" if stub.view.physical else "virtual, as the selected CPU translates them"
    return f"Addresses are {kind}.\n"


def _where(stub: Stub, words: list[str]) -> str:
    subject = stub.on()
    name = words[0].lstrip("$") if words else "pc"
    register = next((register for register in REGISTERS if register.name == name), None)
    try:
        address = int(name, 0) if register is None else register.read(subject)
    except ValueError:
        raise Refused("It is `monitor where ADDRESS`, or a register's name; without either, where the PC is.") from None
    leaf = stub.view.where(subject.cpu, address)
    if leaf is None:
        return f"{address:#x}: the MMU is off, so that it is the physical address.\n"
    said = ", ".join(text for bit, text in _ATTRIBUTES if leaf.descriptor >> bit & 1)
    return (
        f"{address:#x} is physical {leaf.address:#x}: level {leaf.level}, {leaf.size:#x} bytes, "
        f"descriptor {leaf.descriptor:#x} (memory attribute {leaf.descriptor >> 2 & 7}{', ' + said if said else ''})\n"
    )


def _why(stub: Stub, _: list[str]) -> str:
    return f"{stub.refusal}\n"


COMMANDS: Final[Mapping[str, Command]] = {
    command.usage.partition(" ")[0]: command
    for command in (
        Command("info", "virtual time, what each CPU does, its timers and their lines", _info),
        Command("system", "the selected CPU's system registers", _system),
        Command("where [ADDRESS]", "how the selected CPU translates an address, a register's value, or its PC", _where),
        Command("physical [on|off]", "take addresses for physical ones, or for virtual ones again", _physical),
        Command("why", "why the last request was refused", _why),
        Command("help", "this", _help),
    )
}
