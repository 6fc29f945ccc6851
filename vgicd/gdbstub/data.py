"""Packets that read and write registers and memory of the selected thread's vCPU."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vgicd.gdbstub import memory, registers, replies
from vgicd.gdbstub.packets import LIMIT
from vgicd.gdbstub.replies import OK, Malformed
from vgicd.gdbstub.row import Row
from vgicd.gdbstub.target import Refused

if TYPE_CHECKING:
    from vgicd.gdbstub.stub import Stub

_MOST: Final = LIMIT // 2 - 16
"""Bytes of memory in one packet, two digits each."""


def _all_registers(stub: Stub, _: bytes) -> bytes:
    return registers.core_registers(stub.target, stub.vcpu, stub.run.place(stub.vcpu)).hex().encode()


def _set_all_registers(_stub: Stub, _: bytes) -> bytes:
    raise Refused("Registers are written one at a time: `set $gich_lr0 = ...`.")


def _register(stub: Stub, arguments: bytes) -> bytes:
    number = replies.number(arguments)
    return registers.read(stub.target, stub.vcpu, number, stub.run.place(stub.vcpu)).hex().encode()


def _set_register(stub: Stub, arguments: bytes) -> bytes:
    name, _, value = arguments.partition(b"=")
    registers.write(stub.target, stub.vcpu, replies.number(name), replies.from_hex(value))
    return OK


def _read(stub: Stub, arguments: bytes) -> bytes:
    return _memory(stub, arguments).hex().encode()


def _read_binary(stub: Stub, arguments: bytes) -> bytes:
    return b"b" + _memory(stub, arguments)


def _memory(stub: Stub, arguments: bytes) -> bytes:
    address, length = replies.pair(arguments)
    return memory.read(stub.target, stub.vcpu, address, min(length, _MOST))


def _write(stub: Stub, arguments: bytes) -> bytes:
    place, _, digits = arguments.partition(b":")
    return _put(stub, place, replies.from_hex(digits))


def _write_binary(stub: Stub, arguments: bytes) -> bytes:
    place, _, data = arguments.partition(b":")
    return _put(stub, place, data)


def _put(stub: Stub, place: bytes, data: bytes) -> bytes:
    address, length = replies.pair(place)
    if length != len(data):
        raise Malformed(f"{length} bytes were announced and {len(data)} came.")
    memory.write(stub.target, stub.vcpu, address, data)
    return OK


ROWS: Final = (
    Row("g", "What do the architecture's registers hold?", _all_registers),
    Row("G", "Will you set them all?", _set_all_registers),
    Row("p", "What does this register hold?", _register),
    Row("P", "Will you set this register?", _set_register),
    Row("m", "What is in memory here?", _read),
    Row("x", "What is in memory here, in binary?", _read_binary),
    Row("M", "Will you write this to memory?", _write),
    Row("X", "Will you write this to memory, in binary?", _write_binary),
)
