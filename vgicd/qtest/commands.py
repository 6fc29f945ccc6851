"""The commands: what each line asks for, what of the guest must not be held for it, and what it is answered.

One row is one command.  Parameters beyond a row's are ignored, as in QEMU.  A name that only this project knows
begins with `vgicd_`.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from functools import partial
from typing import Final, NamedTuple

from vgicd.domain import operations as op
from vgicd.qtest.blocks import from_base64, from_hex
from vgicd.qtest.interception import intercept
from vgicd.qtest.machine import Machine
from vgicd.qtest.text import Refused, shown, signed, unsigned
from vgicd.qtest.wiring import Kind

WIDTHS: Final = {"b": 1, "w": 2, "l": 4, "q": 8}
UNNAMED: Final = b"unnamed-gpio-in"

_LAST_PORT: Final = 0xFFFF
_PREPARED_LENGTH: Final = 64  # bytes of a line that is worth keeping
_INT: Final = 32
_INT64: Final = 64
_OK: Final = b"OK\n"
_PHYSICAL: Final = int(op.Space.PHYSICAL)

Words = Sequence[bytes]
"""The command's parameters, at least as many as its row names."""


class Needs(Enum):
    """What of a frozen guest a command has to wait for."""

    NOTHING = 0
    ACCESS = 1  # the vCPU that makes the access
    REST = 2  # all that changes state but accesses


class Command(NamedTuple):
    """A command's parameters by name, and what it does: the answer, whole lines."""

    parameters: tuple[str, ...]
    needs: Needs
    run: Callable[[Machine, Words], bytes]


# --- memory ---------------------------------------------------------------------------------------------------------


def _read(machine: Machine, words: Words, size: int) -> bytes:
    return b"OK 0x%016x\n" % machine.read(unsigned(words[0], "ADDRESS"), size)


def _write(machine: Machine, words: Words, size: int) -> bytes:
    address, value = unsigned(words[0], "ADDRESS"), unsigned(words[1], "VALUE")
    machine.write(address, size, value)
    return _OK


def _place(machine: Machine, words: Words, lowest: int = 0) -> tuple[int, int]:
    """The address and the size of a block."""
    address, size = unsigned(words[0], "ADDRESS"), unsigned(words[1], "SIZE")
    if size < lowest:
        raise Refused("SIZE is at least 1.")
    if size:
        machine.check_block(address, size)
    return address, size


def _load(machine: Machine, address: int, size: int) -> bytes:
    return machine.read(address, size).to_bytes(size, "little")


def _store(machine: Machine, address: int, data: bytes) -> bytes:
    machine.write(address, len(data), int.from_bytes(data, "little"))
    return _OK


def _read_block(machine: Machine, words: Words) -> bytes:
    return b"OK 0x%s\n" % _load(machine, *_place(machine, words, lowest=1)).hex().encode()


def _write_block(machine: Machine, words: Words) -> bytes:
    if len(words[2]) <= len("0x"):
        return b"ERR invalid argument size\n"
    address, size = _place(machine, words)
    return _store(machine, address, from_hex(words[2], size))


def _fill_block(machine: Machine, words: Words) -> bytes:
    byte = unsigned(words[2], "VALUE") & 0xFF
    address, size = _place(machine, words)
    return _store(machine, address, bytes([byte]) * size)


def _read_base64(machine: Machine, words: Words) -> bytes:
    return b"OK %s\n" % base64.b64encode(_load(machine, *_place(machine, words)))


def _write_base64(machine: Machine, words: Words) -> bytes:
    address, size = _place(machine, words)
    return _store(machine, address, from_base64(words[2], size))


# --- ports: there are none, which reads as all ones -----------------------------------------------------------------


def _port(words: Words) -> None:
    if unsigned(words[0], "PORT") > _LAST_PORT:
        raise Refused(f"PORT is 0 to {_LAST_PORT:#x}.")


def _in(_: Machine, words: Words, size: int) -> bytes:
    _port(words)
    return b"OK 0x%04x\n" % ((1 << 8 * size) - 1)


def _out(_: Machine, words: Words) -> bytes:
    _port(words)
    unsigned(words[1], "VALUE")
    return _OK


# --- wires ----------------------------------------------------------------------------------------------------------


def _set_irq_in(machine: Machine, words: Words) -> bytes:
    path, name, number, height = words[:4]
    device = machine.device(path)
    if name != UNNAMED:
        raise Refused(f"Inputs have no name here: write {UNNAMED.decode()}, not {shown(name)}.")
    index, level = signed(number, "N", _INT), signed(height, "LEVEL", _INT)
    if device.kind is Kind.CPU:
        raise Refused("A CPU's inputs are the GIC's outputs here: drive an input of the GIC.")
    machine.drive(index, level)
    return _OK


def _intercept(machine: Machine, words: Words, *, outputs: bool) -> bytes:
    device, current = machine.device(words[0]), machine.interception
    if current is None:
        machine.interception = intercept(device, machine.wiring, outputs=outputs)
    elif current.device != device:
        raise Refused("IRQ intercept already enabled")
    return _OK


# --- time and the rest ----------------------------------------------------------------------------------------------


def _clock_step(machine: Machine, words: Words) -> bytes:
    now = machine.clock.now
    if words:
        until: int | None = now + signed(words[0], "NS", _INT64)
    else:
        until = machine.clock.deadline()
    return b"OK %d\n" % machine.advance(now if until is None else until)


def _clock_set(machine: Machine, words: Words) -> bytes:
    return b"OK %d\n" % machine.advance(signed(words[0], "NS", _INT64))


def _vcpu(machine: Machine, words: Words) -> bytes:
    number = unsigned(words[0], "N")
    vcpus = machine.domain.config.vcpus
    if number >= vcpus:
        raise Refused(f"There is no vCPU {number}: they are 0 to {vcpus - 1}.")
    machine.vcpu = number
    return _OK


def _constant(answer: bytes) -> Callable[[Machine, Words], bytes]:
    return lambda _, __: answer


def _table() -> dict[bytes, Command]:
    table: dict[str, Command] = {}
    for letter, size in WIDTHS.items():
        table[f"read{letter}"] = Command(("ADDRESS",), Needs.ACCESS, partial(_read, size=size))
        table[f"write{letter}"] = Command(("ADDRESS", "VALUE"), Needs.ACCESS, partial(_write, size=size))
        if size <= 4:
            table[f"in{letter}"] = Command(("PORT",), Needs.NOTHING, partial(_in, size=size))
            table[f"out{letter}"] = Command(("PORT", "VALUE"), Needs.NOTHING, _out)
    table |= {
        "read": Command(("ADDRESS", "SIZE"), Needs.ACCESS, _read_block),
        "write": Command(("ADDRESS", "SIZE", "DATA"), Needs.ACCESS, _write_block),
        "memset": Command(("ADDRESS", "SIZE", "VALUE"), Needs.ACCESS, _fill_block),
        "b64read": Command(("ADDRESS", "SIZE"), Needs.ACCESS, _read_base64),
        "b64write": Command(("ADDRESS", "SIZE", "DATA"), Needs.ACCESS, _write_base64),
        "set_irq_in": Command(("PATH", UNNAMED.decode(), "N", "LEVEL"), Needs.REST, _set_irq_in),
        "irq_intercept_in": Command(("PATH",), Needs.NOTHING, partial(_intercept, outputs=False)),
        "irq_intercept_out": Command(("PATH",), Needs.NOTHING, partial(_intercept, outputs=True)),
        "clock_step": Command((), Needs.REST, _clock_step),
        "clock_set": Command(("NS",), Needs.REST, _clock_set),
        "endianness": Command((), Needs.NOTHING, _constant(b"OK little\n")),
        "module_load": Command(("PREFIX", "NAME"), Needs.NOTHING, _constant(b"FAIL\n")),
        "vgicd_vcpu": Command(("N",), Needs.NOTHING, _vcpu),
    }
    return {name.encode(): command for name, command in table.items()}


COMMANDS: Final[Mapping[bytes, Command]] = _table()
_SINGLE: Final = {f"{verb}{letter}".encode(): WIDTHS[letter] for verb in ("read", "write") for letter in "bwl"}


def needs(line: bytes) -> Needs:
    """What of a frozen guest `line` must wait for; nothing if it will be refused for its name."""
    command = COMMANDS.get(line.partition(b" ")[0])
    return Needs.NOTHING if command is None else command.needs


def execute(machine: Machine, line: bytes) -> bytes:
    """Carry out the command `line` (without its line feed); the answer, whole lines. What it caused has been told."""
    name, *words = line.split(b" ")
    command = COMMANDS.get(name)
    if command is None:
        if not line or b"\0" in line:
            return b"FAIL A line is a command and its parameters, in text.\n"
        return b"FAIL Unknown command '%s'\n" % name
    try:
        answer = _run(machine, name, command, words)
    except Refused as refused:
        return f"FAIL {refused}\n".encode()
    if name in _SINGLE and len(line) <= _PREPARED_LENGTH:
        _prepare(machine, line, name, words)
    return answer


def _run(machine: Machine, name: bytes, command: Command, words: Words) -> bytes:
    if len(words) < len(command.parameters):
        raise Refused(f"{name.decode()} takes {' '.join(command.parameters)}.")
    return command.run(machine, words)


# --- the same again -------------------------------------------------------------------------------------------------


def _prepare(machine: Machine, line: bytes, name: bytes, words: Words) -> None:
    """Let `execute_prepared` know an access that has just been made; a write by all but its value."""
    address, size = unsigned(words[0], "ADDRESS"), _SINGLE[name]
    if name.startswith(b"read"):
        if len(words) == 1:
            machine.prepare((machine.vcpu, line), op.Read(machine.vcpu, _PHYSICAL, address, size))
    elif len(words) == 2:
        head = line[: -len(words[1])]
        machine.prepare((machine.vcpu, head), op.Write(machine.vcpu, _PHYSICAL, address, size, 0))


def execute_prepared(machine: Machine, line: bytes) -> bytes | None:
    """As `execute`, if it is an access that has been made before and is prepared; else None, and nothing is done."""
    prepared = machine.domain.prepared
    run = prepared.get((machine.vcpu, line))
    switch = machine.domain.switch
    before = switch.outputs
    if run is not None and not line.endswith(b" "):  # that would be a write without its value
        answer = run(0)
        if answer is None:
            return None
        machine.applied(before, switch.outputs, looks=True)
        return b"OK 0x%016x\n" % answer
    end = line.rfind(b" ") + 1
    run = prepared.get((machine.vcpu, line[:end]))
    if run is None:
        return None
    try:
        value = unsigned(line[end:], "VALUE")
    except Refused:
        return None
    if run(value) is None:
        return None
    machine.applied(before, switch.outputs, looks=False)
    return _OK
