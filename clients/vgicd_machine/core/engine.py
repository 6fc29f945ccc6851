"""One Unicorn core: executes slices, and tells its `Listener` what a CPU cannot decide by itself.

With `internals` the only module that knows the emulator.  Interrupts and exceptions are taken by the core, at the very
instruction; what is left to the listener are calls of the firmware, waiting, devices, the timers' registers and
accesses to nothing.  Only `count=` slices are used: time-outs and stops from other threads make Unicorn repeat the
last access.  The count can be read and shortened within a slice, so that every stop is exact.
"""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Collection
from typing import Any, Final, NamedTuple, Protocol

from vgicd_machine.core import internals, syndrome
from vgicd_machine.core.arm64 import (
    CNTKCTL_EL1,
    CONTEXTIDR_EL1,
    EC_TRAPPED_WFX,
    ESR_IL,
    SEMIHOSTING_HLT,
    TIMER_CRMS,
    VIRTUAL_TIMER_CRM,
    WFE,
    SystemRegister,
    exception_level,
    masking_syndrome,
)
from vgicd_machine.core.internals import LAYOUT, Pointer
from vgicd_machine.core.traps import BREAK, SPAN, STEP, Trap, Traps, Watch, is_exclusive
from vgicd_machine.errors import GuestFault, MachineError

# isort: split
from unicorn import arm64_const, unicorn_const
from unicorn.unicorn_py3.unicorn import uclib

X0: Final[int] = arm64_const.UC_ARM64_REG_X0
PC: Final[int] = arm64_const.UC_ARM64_REG_PC
SP: Final[int] = arm64_const.UC_ARM64_REG_SP
PSTATE: Final[int] = arm64_const.UC_ARM64_REG_PSTATE
FPSR: Final[int] = arm64_const.UC_ARM64_REG_FPSR
FPCR: Final[int] = arm64_const.UC_ARM64_REG_FPCR
GENERAL: Final[tuple[int, ...]] = (
    *(X0 + n for n in range(29)),
    arm64_const.UC_ARM64_REG_X29,
    arm64_const.UC_ARM64_REG_X30,
)
"""X0 to X30, whose identifiers are not consecutive."""
_V0: Final[int] = arm64_const.UC_ARM64_REG_V0
_STACKS: Final[tuple[int, int]] = arm64_const.UC_ARM64_REG_SP_EL0, arm64_const.UC_ARM64_REG_SP_EL1
_UNDONE: Final = (*GENERAL, SP, PC)

_SYSTEM: Final[int] = arm64_const.UC_ARM64_REG_CP_REG
_UNMAPPED: Final[int] = (
    unicorn_const.UC_HOOK_MEM_READ_UNMAPPED
    | unicorn_const.UC_HOOK_MEM_WRITE_UNMAPPED
    | unicorn_const.UC_HOOK_MEM_FETCH_UNMAPPED
    | unicorn_const.UC_HOOK_MEM_WRITE_PROT
)

# QEMU's exception numbers.
UNDEFINED: Final = 1
PREFETCH_ABORT: Final = 3
DATA_ABORT: Final = 4
_FIQ: Final = 6
HYPERVISOR_CALL: Final = 11
MONITOR_CALL: Final = 13
SEMIHOSTING_CALL: Final = 16
_NONE: Final = 0xFFFF_FFFF

_EL0_AND_EL1: Final = 0xFF  # of ID_AA64PFR0_EL1: the other two levels are not for the guest
_CPACR: Final = (3, 0, 0, 2)  # op0, op1, CRm, op2 of CPACR_EL1
_FPEN_NO_TRAPS: Final = 3
_FPEN_AT_EL0: Final = 1
_SAME_FETCH_LIMIT: Final = 3  # aborts of one fetch with nothing executed between: it will never succeed


class _Exception(ctypes.Structure):
    _fields_ = (("syndrome", ctypes.c_uint32), ("fsr", ctypes.c_uint32), ("address", ctypes.c_uint64),
                ("target", ctypes.c_uint32))  # fmt: skip


class _SystemRegister(ctypes.Structure):
    _fields_ = (("crn", ctypes.c_uint32), ("crm", ctypes.c_uint32), ("op0", ctypes.c_uint32), ("op1", ctypes.c_uint32),
                ("op2", ctypes.c_uint32), ("value", ctypes.c_uint64))  # fmt: skip


_ON_EXCEPTION: Final = ctypes.CFUNCTYPE(None, Pointer, ctypes.c_uint32, Pointer)
_ON_LOAD: Final = ctypes.CFUNCTYPE(ctypes.c_uint64, Pointer, ctypes.c_uint64, ctypes.c_uint, Pointer)
_ON_STORE: Final = ctypes.CFUNCTYPE(None, Pointer, ctypes.c_uint64, ctypes.c_uint, ctypes.c_uint64, Pointer)
_ON_HOLE: Final = ctypes.CFUNCTYPE(
    ctypes.c_bool, Pointer, ctypes.c_int, ctypes.c_uint64, ctypes.c_int, ctypes.c_int64, Pointer
)
_ON_REACHED: Final = ctypes.CFUNCTYPE(None, Pointer, ctypes.c_uint64, ctypes.c_uint32, Pointer)
_ON_TOUCHED: Final = ctypes.CFUNCTYPE(
    None, Pointer, ctypes.c_int, ctypes.c_uint64, ctypes.c_int, ctypes.c_int64, Pointer
)
_ON_INSTRUCTION: Final = ctypes.CFUNCTYPE(
    ctypes.c_uint32, Pointer, ctypes.c_int, ctypes.POINTER(_SystemRegister), Pointer
)
_ON_MAINTENANCE: Final = ctypes.CFUNCTYPE(  # CRn and CRm are the first two words
    ctypes.c_uint32, Pointer, ctypes.c_int, ctypes.POINTER(ctypes.c_uint32), Pointer
)
_DC_ZVA: Final = (7, 4)


class Hole(NamedTuple):
    """An access to guest-physical memory where nothing is, or a write where nothing can be written (`rom`)."""

    address: int
    fetch: bool
    write: bool
    rom: bool


class Listener(Protocol):
    """What happens within a slice. What one of these raises ends the slice and is raised by `Engine.run`."""

    def load(self, address: int, size: int) -> int:
        """A device is read; `size` is 1, 2 or 4, what is wider arrives as consecutive words."""

    def store(self, address: int, size: int, value: int) -> None:
        """A device is written, likewise."""

    def counter(self) -> int:
        """What CNTPCT_EL0 and CNTVCT_EL0 read, in ticks of 16 ns (CNTFRQ_EL0 reads 62.5 MHz)."""

    def timer_written(self, crm: int, op2: int, value: int) -> None:
        """MSR to a CNTP_* or CNTV_* register, which the core leaves alone."""

    def interrupted(self, *, fiq: bool) -> None:
        """An interrupt is taken: the next instruction is its vector's."""

    def sampled(self) -> None:
        """The core is where it samples its inputs; only while `Engine.observed`."""

    def yielded(self) -> None:
        """YIELD has been executed."""

    def maintained(self, crn: int, crm: int) -> None:
        """SYS: cache and TLB maintenance, before the core does it; only when asked for."""


class Engine:
    """A core in EL1 with the MMU off and interrupts masked, and no memory yet.

    `run` executes a slice; between slices every register may be read and written.
    """

    def __init__(self, listener: Listener, *, maintenance: bool) -> None:
        self._listener = listener
        self._core: Any = internals.new_core()
        self._handle = self._core._uch
        cpu = ctypes.c_uint64.from_address(self._handle.value + LAYOUT.handle_cpu).value
        self._cpu = cpu
        self._begun = ctypes.c_uint64.from_address(self._handle.value + LAYOUT.handle_counter)
        self._stop_after = ctypes.c_uint64.from_address(self._handle.value + LAYOUT.handle_counter + 8)
        self._inputs = ctypes.c_uint32.from_address(cpu + LAYOUT.cpu_inputs)
        self._number = ctypes.c_uint32.from_address(cpu + LAYOUT.cpu_number)
        self._exception = _Exception.from_address(cpu + LAYOUT.cpu_exception)
        ctypes.c_uint64.from_address(cpu + LAYOUT.cpu_features).value &= _EL0_AND_EL1
        self._word = ctypes.c_uint64()
        self._word_ref = ctypes.byref(self._word)
        self._operand = _SystemRegister()
        self._operand_ref = ctypes.byref(self._operand)
        self._buffer = ctypes.create_string_buffer(256)
        self._failure: BaseException | None = None
        self._hooks: list[Any] = []
        self._fp_traps = False  # by a guest that has asked for it, which few do and which costs time
        self._last_fetch = (0, 0, 0)  # address, instructions executed, how often
        self._first_of_fetch: str | None = None  # the exception whose vector that is, if it is one
        self.call: int | None = None
        """After `run`: HYPERVISOR_CALL, MONITOR_CALL or SEMIHOSTING_CALL, if one ended it."""
        self.waiting = False
        """After `run`: WFI has ended it, with no input asserted."""
        self.yielding = False
        """After `run`: WFE has ended it."""
        self.hole: Hole | None = None
        """After `run`: the access to nothing that ended it, with the PC at its instruction."""
        self.trap: Trap | None = None
        """After `run`: why it was cut short for a debugger, if it was."""
        self._planned = 0  # as `_stop_after`, had nobody asked for a step or a trap
        self._stepping = False
        self._traps = Traps()
        self._trap_hooks: list[tuple[Any, ctypes.c_size_t]] = []
        self._before: tuple[int, ...] | None = None  # registers, to be put back after an access that is watched
        self._hook(unicorn_const.UC_HOOK_INTR, _ON_EXCEPTION(self._excepted))
        self._hook(_UNMAPPED, _ON_HOLE(self._missed))
        self._hook(unicorn_const.UC_HOOK_INSN, _ON_INSTRUCTION(self._msr), ctypes.c_int(arm64_const.UC_ARM64_INS_MSR))
        if maintenance:
            self._hook(
                unicorn_const.UC_HOOK_INSN, _ON_MAINTENANCE(self._sys), ctypes.c_int(arm64_const.UC_ARM64_INS_SYS)
            )

    # -- registers and memory

    def read(self, register: int) -> int:
        """A general or special register, by Unicorn's identifier, not through its binding (seven times faster)."""
        uclib.uc_reg_read(self._handle, register, self._word_ref)
        return self._word.value

    def write(self, register: int, value: int) -> None:
        self._word.value = value
        uclib.uc_reg_write(self._handle, register, self._word_ref)

    def system(self, register: SystemRegister) -> int:
        """Read as by MRS at EL3."""
        operand = self._operand
        operand.op0, operand.op1, operand.crn, operand.crm, operand.op2 = register
        uclib.uc_reg_read(self._handle, _SYSTEM, self._operand_ref)
        return int(operand.value)

    def set_system(self, register: SystemRegister, value: int) -> None:
        """Store a system register's value, without what writing it would do."""
        operand = self._operand
        operand.op0, operand.op1, operand.crn, operand.crm, operand.op2 = register
        operand.value = value
        outer, internals.current.hooks = internals.current.hooks, self
        uclib.uc_reg_write(self._handle, _SYSTEM, self._operand_ref)
        internals.current.hooks = outer

    def instruction(self, address: int) -> int | None:
        """The word that the guest would execute at virtual `address`; None where it cannot."""
        error = uclib.uc_vmem_read(
            self._handle, ctypes.c_uint64(address), unicorn_const.UC_PROT_EXEC, self._buffer, ctypes.c_size_t(4)
        )
        return None if error else int(struct.unpack_from("<I", self._buffer)[0])

    def read_memory(self, address: int, size: int) -> bytes | None:
        """`size` bytes from virtual `address`; None where the guest cannot read something of it, or it is no memory."""
        buffer = ctypes.create_string_buffer(max(1, size))
        error = uclib.uc_vmem_read(
            self._handle, ctypes.c_uint64(address), unicorn_const.UC_PROT_READ, buffer, ctypes.c_size_t(size)
        )
        return None if error else buffer.raw[:size]

    def write_memory(self, address: int, data: bytes) -> bool:
        """`data` to virtual `address`; False where the guest cannot write something of it, or it is no memory."""
        return not uclib.uc_vmem_write(
            self._handle, ctypes.c_uint64(address), unicorn_const.UC_PROT_WRITE, data, ctypes.c_size_t(len(data))
        )

    def map_memory(self, base: int, size: int, host_address: int, *, writable: bool) -> None:
        """Memory shared with the other cores; the host's must outlive this engine."""
        rights = unicorn_const.UC_PROT_ALL if writable else unicorn_const.UC_PROT_READ | unicorn_const.UC_PROT_EXEC
        self._core.mem_map_ptr(base, size, rights, host_address)

    def map_device(self, base: int, size: int) -> None:
        """Send accesses to a page-aligned region to the listener."""
        load, store = self._listener.load, self._listener.store

        def on_load(_handle: int, offset: int, size: int, _data: int) -> int:
            try:
                return load(base + offset, size)
            except BaseException as error:
                self._fail(error)
                return 0

        def on_store(_handle: int, offset: int, size: int, value: int, _data: int) -> None:
            try:
                store(base + offset, size, value)
            except BaseException as error:
                self._fail(error)

        callbacks = _ON_LOAD(on_load), _ON_STORE(on_store)
        self._hooks += callbacks
        one, other = (ctypes.cast(callback, Pointer) for callback in callbacks)
        error = uclib.uc_mmio_map(self._handle, ctypes.c_uint64(base), ctypes.c_size_t(size), one, None, other, None)
        if error:
            raise MachineError(f"cannot map a device at {base:#x}: Unicorn's error {error}")

    def flush_tlb(self) -> None:
        self._core.ctl(unicorn_const.UC_CTL_TLB_FLUSH, unicorn_const.UC_CTL_IO_WRITE)

    def flush_code(self) -> None:
        self._core.ctl_flush_tb()

    # -- execution

    @property
    def executed(self) -> int:
        """Instructions of this slice, or of the last one; within an instruction's callback including that one."""
        return min(self._begun.value, self._stop_after.value)

    def set_inputs(self, lines: int, *, observed: bool = False) -> None:
        """The levels of the IRQ (bit 0) and FIQ (bit 1) inputs, and whether the listener hears `sampled`.

        The core samples its inputs when `run` begins and whenever it may have unmasked one, not else.
        """
        inputs = (lines & 1) * internals.INPUT_IRQ | (lines >> 1 & 1) * internals.INPUT_FIQ
        if observed:
            inputs |= internals.INPUT_OBSERVED
        self._inputs.value = self._inputs.value & ~_ALL_INPUTS | inputs

    def end_slice(self, after: int = 0) -> None:
        """Within a slice: let it end, at the latest, `after` instructions after the present one."""
        end = self._begun.value + after
        self._planned = min(self._planned, end)
        self._stop_after.value = min(self._stop_after.value, end)

    @property
    def left(self) -> int:
        """Instructions of the last slice that a trap, or a step, has kept from being executed in it."""
        return max(0, self._planned - self.executed)

    def run(self, count: int, *, step: bool = False) -> int:
        """Execute `count` instructions from the PC, or fewer when something ends the slice; yields how many.

        Afterwards `call`, `waiting`, `yielding`, `hole` and `trap` say what ended it, if one of them did.  With `step`
        it is cut short after one instruction, or before the first one of an interrupt's vector.
        """
        self.call = self.hole = self.trap = self._before = None
        self.waiting = self.yielding = False
        self._planned, self._stepping = count, step
        outer, internals.current.hooks = internals.current.hooks, self
        try:
            error = uclib.uc_emu_start(self._handle, self.read(PC), 0, 0, 1 if step else count)
        finally:
            internals.current.hooks = outer
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure
        if error and self.hole is None:
            raise MachineError(f"Unicorn gave up at {self.read(PC):#x}: error {error}")
        if self._before is not None:
            self._undo(self._before)
        if self.trap is None and step:
            self.trap = STEP
        return self.executed

    def abort(self, *, fetch: bool, syndrome: int, address: int) -> None:
        """Between slices: take an instruction or data abort to EL1 at the PC."""
        self._exception.syndrome, self._exception.address, self._exception.target = syndrome, address, 1
        self._number.value = PREFETCH_ABORT if fetch else DATA_ABORT
        internals.take_exception(self._cpu)
        self._number.value = _NONE

    def vector(self, number: int) -> int:
        """V0 to V31, 128 bits."""
        uclib.uc_reg_read(self._handle, _V0 + number, self._buffer)
        return int.from_bytes(self._buffer.raw[:16], "little")

    def set_vector(self, number: int, value: int) -> None:
        uclib.uc_reg_write(self._handle, _V0 + number, value.to_bytes(16, "little"))

    def stack(self, level: int) -> int:
        """SP_EL0 or SP_EL1."""
        return self.read(SP if self._stack_in_use == level else _STACKS[level])

    def set_stack(self, level: int, value: int) -> None:
        self.write(SP if self._stack_in_use == level else _STACKS[level], value)

    def set_pstate(self, value: int) -> None:
        """Change PSTATE, with the stack pointer that goes with it. EL0 and EL1 in AArch64 only."""
        self.write(_STACKS[self._stack_in_use], self.read(SP))
        self.write(PSTATE, value)
        self.write(SP, self.read(_STACKS[self._stack_in_use]))
        self.set_system(CONTEXTIDR_EL1, self.system(CONTEXTIDR_EL1))  # storing any has the core look at PSTATE anew

    @property
    def _stack_in_use(self) -> int:
        return self.read(PSTATE) & 1  # SPSel, which is 0 at EL0

    # -- traps

    def set_traps(self, breakpoints: Collection[int], watches: Collection[Watch], *, tidy: bool) -> None:
        """Between slices: stop before the instructions at virtual `breakpoints`, and at accesses to `watches`.

        What is no longer wanted costs nothing any more only if `tidy`: to go without is a flush of the engine.
        """
        traps = self._traps
        traps.want(breakpoints, watches)
        if not traps.is_to_be_hooked(tidy=tidy):
            return
        for _, handle in self._trap_hooks:
            uclib.uc_hook_del(self._handle, handle)
        self._trap_hooks = [
            *(self._hook_trap(unicorn_const.UC_HOOK_CODE, _ON_REACHED(self._reached), at, at) for at in breakpoints),
            *(self._hook_watch(watch) for watch in watches),
        ]
        traps.hooked = traps.wanted
        self.flush_code()  # only what is translated from now on asks for them

    def _hook_watch(self, watch: Watch) -> tuple[Any, ctypes.c_size_t]:
        kind = (unicorn_const.UC_HOOK_MEM_READ if watch.reads else 0) | (
            unicorn_const.UC_HOOK_MEM_WRITE if watch.writes else 0
        )
        first, last = max(0, watch.address - SPAN + 1), watch.address + watch.size - 1
        return self._hook_trap(kind, _ON_TOUCHED(self._touched), first, last)

    def _hook_trap(self, kind: int, callback: Any, first: int, last: int) -> tuple[Any, ctypes.c_size_t]:
        return callback, self._add_hook(kind, callback, first, last)

    def _reached(self, _handle: int, address: int, _size: int, _data: int) -> None:
        if address in self._traps.breakpoints:
            self.trap = BREAK
            self._stop_after.value = self._begun.value - 1  # the count runs ahead: this one has not happened
            uclib.uc_emu_stop(self._handle)

    def _touched(self, _handle: int, kind: int, address: int, size: int, _value: int, _data: int) -> None:
        try:
            watch = self._traps.watched(address, size, write=kind == unicorn_const.UC_MEM_WRITE)
            if watch is None or self.trap is not None:
                return
            self.trap = Trap(watch)
            word = self.instruction(self.read(PC))
            if word is not None and not is_exclusive(word):
                self._before = tuple(self.read(register) for register in _UNDONE)
            self._stop_after.value = min(self._stop_after.value, self._begun.value)
        except BaseException as error:
            self._fail(error)

    def _undo(self, before: tuple[int, ...]) -> None:
        """The last instruction has not happened: it will do to memory what it has done already."""
        for register, value in zip(_UNDONE, before, strict=True):
            self.write(register, value)
        self._begun.value = self.executed - 1

    # -- what the core calls

    def clock(self) -> int:
        try:
            return self._listener.counter() * _TICK
        except BaseException as error:
            self._fail(error)
            return 0

    def entered(self, _cpu: int) -> None:
        try:
            if self._stepping:
                self._stop_after.value = min(self._stop_after.value, self._begun.value)
            self._listener.interrupted(fiq=self._number.value == _FIQ)
        except BaseException as error:
            self._fail(error)

    def yielded(self) -> None:
        try:
            if self.instruction(self.read(PC) - 4) == WFE:
                self.yielding = True
                self.end_slice()
            else:
                self._listener.yielded()
        except BaseException as error:
            self._fail(error)

    def fp_target(self, level: int) -> int:
        if not self._fp_traps:
            return 0
        enabled = self.read(arm64_const.UC_ARM64_REG_CPACR_EL1) >> 20 & 3
        return int(enabled != _FPEN_NO_TRAPS and (enabled != _FPEN_AT_EL0 or level == 0))

    def observed(self) -> None:
        try:
            self._listener.sampled()
        except BaseException as error:
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        if self._failure is None:
            self._failure = error
        uclib.uc_emu_stop(self._handle)  # the guest does not go on: where it stops does not matter, but that it does

    def _hook(self, kind: int, callback: Any, *more: Any) -> None:
        self._hooks.append(callback)
        self._add_hook(kind, callback, 1, 0, *more)  # everywhere

    def _add_hook(self, kind: int, callback: Any, first: int, last: int, *more: Any) -> ctypes.c_size_t:
        handle = ctypes.c_size_t()
        error = uclib.uc_hook_add(
            self._handle, ctypes.byref(handle), kind, ctypes.cast(callback, Pointer), None,
            ctypes.c_uint64(first), ctypes.c_uint64(last), *more,
        )  # fmt: skip
        if error:
            raise MachineError(f"Unicorn refuses a hook of kind {kind}: error {error}")
        return handle

    def _excepted(self, _handle: int, number: int, _data: int) -> None:
        self._before = None
        try:
            if number in {HYPERVISOR_CALL, MONITOR_CALL}:
                self.call = number
                self.end_slice()
            elif number == UNDEFINED and self._is_semihosting():
                self.write(PC, self.read(PC) + 4)
                self.call = SEMIHOSTING_CALL
                self.end_slice()
            elif self._exception.target == 2 and self._exception.syndrome >> 26 == EC_TRAPPED_WFX:
                self.write(PC, self.read(PC) + 4)
                self.waiting = True
                self.end_slice()
            else:
                if number == PREFETCH_ABORT:
                    self._check_fetch()
                if self._exception.target != 1:  # what a hypervisor would trap: this guest has none, nor EL2
                    self._exception.syndrome, self._exception.target = ESR_IL, 1
                    self._number.value = UNDEFINED
                elif not self._exception.syndrome:
                    self._exception.syndrome = masking_syndrome(self.instruction(self.read(PC)) or 0)
                internals.take_exception(self._cpu)
        except BaseException as error:
            self._fail(error)

    def _is_semihosting(self) -> bool:
        """HLT #0xF000 at EL1; to EL0 it is an undefined instruction, as on QEMU."""
        return bool(exception_level(self.read(PSTATE))) and self.instruction(self.read(PC)) == SEMIHOSTING_HLT

    def _check_fetch(self) -> None:
        address, executed, times = self._last_fetch
        same = (address, executed) == (self._exception.address, self._begun.value)
        times = times + 1 if same else 1
        self._last_fetch = self._exception.address, self._begun.value, times
        if times == 1:
            self._first_of_fetch = syndrome.taken(self, self._exception.address)
        elif times >= _SAME_FETCH_LIMIT:
            what = self._first_of_fetch or "an exception"
            raise GuestFault(f"{what}, and its vector {self._exception.address:#x} cannot be fetched")

    def _missed(self, _handle: int, kind: int, address: int, _size: int, _value: int, _data: int) -> bool:
        rom = kind == unicorn_const.UC_MEM_WRITE_PROT
        write = rom or kind == unicorn_const.UC_MEM_WRITE_UNMAPPED
        self._before = None
        self.hole = Hole(address, kind == unicorn_const.UC_MEM_FETCH_UNMAPPED, write, rom)
        return False

    def _msr(self, _handle: int, _register: int, operand: Any, _data: int) -> int:
        try:
            to = operand.contents
            if to.crn == 1 and not self._fp_traps:
                self._fp_traps = (to.op0, to.op1, to.crm, to.op2) == _CPACR and to.value >> 20 & 3 != _FPEN_NO_TRAPS
                if self._fp_traps:
                    internals.trap_floating_point()
            if to.crn != 14 or to.crm not in TIMER_CRMS or to.op1 != 3:
                return 0
            crm, op2, value = to.crm, to.op2, to.value
            if not self._may_write_timer(crm):
                return 0  # and the core makes an exception of it
            self._listener.timer_written(crm, op2, value)
        except BaseException as error:
            self._fail(error)
        return 1

    def _may_write_timer(self, crm: int) -> bool:
        if exception_level(self.read(PSTATE)):
            return True
        return bool(self.system(CNTKCTL_EL1) >> (8 if crm == VIRTUAL_TIMER_CRM else 9) & 1)  # EL0VTEN, EL0PTEN

    def _sys(self, _handle: int, _register: int, operand: Any, _data: int) -> int:
        crn, crm = operand[0], operand[1]
        if (crn, crm) == _DC_ZVA:  # no maintenance, and there are hundreds of thousands
            return 0
        try:
            self._listener.maintained(crn, crm)
        except BaseException as error:
            self._fail(error)
        return 0


_ALL_INPUTS: Final = internals.INPUT_IRQ | internals.INPUT_FIQ | internals.INPUT_OBSERVED
_TICK: Final = 16  # nanoseconds
