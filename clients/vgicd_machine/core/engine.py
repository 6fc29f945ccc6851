"""One Unicorn core: the only module that knows the emulator's interface and its peculiarities.

Only `count=` slices are exact: time-outs and stops from other threads make Unicorn repeat the last access.  Within a
slice the PC that a device callback reads is exact.  Unicorn delivers no exception and has no way to ask for the
syndrome: both are found here, as `Trap`, for `cpu.py` to act on.
"""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from vgicd_machine.core.arm64 import SystemRegister
from vgicd_machine.errors import EngineMissing, MachineError

try:
    import unicorn
    from unicorn import arm64_const, unicorn_const
    from unicorn.unicorn_py3.unicorn import uclib
except ImportError as error:
    raise EngineMissing(f"the AArch64 machine needs the Unicorn engine ({error}): install vgicd[emulator]") from error

_unicorn: Final[Any] = unicorn  # its types are partial

X0: Final[int] = arm64_const.UC_ARM64_REG_X0
PC: Final[int] = arm64_const.UC_ARM64_REG_PC
SP: Final[int] = arm64_const.UC_ARM64_REG_SP
PSTATE: Final[int] = arm64_const.UC_ARM64_REG_PSTATE
XZR: Final[int] = arm64_const.UC_ARM64_REG_XZR
GENERAL: Final[tuple[int, ...]] = (
    *(X0 + n for n in range(29)),
    arm64_const.UC_ARM64_REG_X29,
    arm64_const.UC_ARM64_REG_X30,
)
"""X0 to X30, whose identifiers are not consecutive."""

# QEMU's exception numbers, as the interrupt hook reports them.
UNDEFINED: Final = 1
SUPERVISOR_CALL: Final = 2
PREFETCH_ABORT: Final = 3
DATA_ABORT: Final = 4
BREAKPOINT: Final = 7
HYPERVISOR_CALL: Final = 11
MONITOR_CALL: Final = 13

_CODE_BUFFER: Final = 64 << 20  # bytes of translated code; the engine's own choice reserves a gibibyte for each core
_PROBE: Final = struct.pack("<2I", 0xD4024681, 0x14000000)  # svc #0x1234; b .
_PROBE_SYNDROME: Final = 0x56001234
_PROBE_ADDRESS: Final = 0x1000
_EXCEPTION: Final = struct.Struct("<IIQI")  # syndrome, AArch32's FSR, faulting address, target exception level

_syndrome_offset: int | None = None


class Trap(NamedTuple):
    """Why the core left the guest: an exception that Unicorn noticed and did not deliver."""

    number: int
    syndrome: int
    address: int
    target: int  # the exception level that it is for: 2 where the hypervisor's configuration traps


class Hole(NamedTuple):
    """An access to guest-physical memory where nothing is."""

    address: int
    fetch: bool
    write: bool


def _syndrome_at(core: Any) -> int:
    """Where in a saved context the syndrome is: found once by taking a known exception, so no version is assumed."""
    global _syndrome_offset  # noqa: PLW0603 - a constant of the loaded library
    if _syndrome_offset is None:
        core.mem_map(_PROBE_ADDRESS, 0x1000)
        core.mem_write(_PROBE_ADDRESS, _PROBE)
        saved: list[bytes] = []

        def trapped(core: Any, _number: int, _data: object) -> None:
            saved.append(bytes(core.context_save()))
            core.emu_stop()

        hook = core.hook_add(unicorn_const.UC_HOOK_INTR, trapped)
        core.emu_start(_PROBE_ADDRESS, 0, count=1)
        core.hook_del(hook)
        core.mem_unmap(_PROBE_ADDRESS, 0x1000)
        wanted = struct.pack("<I", _PROBE_SYNDROME)
        if len(saved) != 1 or saved[0].count(wanted) != 1:
            raise MachineError("this version of Unicorn does not show an exception's syndrome in its context")
        _syndrome_offset = saved[0].index(wanted)
    return _syndrome_offset


class Engine:
    """One core. `run` executes a slice; between slices every register may be read and written.

    `on_msr(register, value) -> handled`, `on_mrs(register) -> value or None` and the device callbacks run inside
    `run`; an exception that one of them raises ends the slice and is raised by `run`.
    """

    def __init__(self) -> None:
        self._core: Any = _unicorn.Uc(unicorn_const.UC_ARCH_ARM64, unicorn_const.UC_MODE_ARM)
        self._core.ctl_set_cpu_model(arm64_const.UC_CPU_ARM64_A57)
        self._core.ctl_set_tcg_buffer_size(_CODE_BUFFER)
        self._core.ctl_exits_enabled(True)  # else the address 0 in `run` would be taken for an exit
        self._handle = self._core._uch
        self._word = ctypes.c_uint64()
        self._word_ref = ctypes.byref(self._word)
        self._buffer = ctypes.create_string_buffer(256)
        self._offset = _syndrome_at(self._core)
        self._context = self._core.context_save()
        self._failure: BaseException | None = None
        self.trap: Trap | None = None
        self.hole: Hole | None = None
        self._core.hook_add(unicorn_const.UC_HOOK_INTR, self._trapped)
        self._core.hook_add(
            unicorn_const.UC_HOOK_MEM_READ_UNMAPPED
            | unicorn_const.UC_HOOK_MEM_WRITE_UNMAPPED
            | unicorn_const.UC_HOOK_MEM_FETCH_UNMAPPED,
            self._unmapped,
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
        value: int = self._core.cpr_read(*register)
        return value

    def set_system(self, register: SystemRegister, value: int) -> None:
        self._core.cpr_write(*register, value)

    def instructions(self, address: int, count: int) -> tuple[int, ...]:
        """`count` (at most 64) words of what the guest sees at virtual `address`; () where it cannot execute."""
        error = uclib.uc_vmem_read(
            self._handle, ctypes.c_uint64(address), unicorn_const.UC_PROT_EXEC, self._buffer, ctypes.c_size_t(count * 4)
        )
        return () if error else struct.unpack_from(f"<{count}I", self._buffer)

    def instruction(self, address: int) -> int | None:
        """The word that the guest would execute at virtual `address`; None where it cannot."""
        return next(iter(self.instructions(address, 1)), None)

    def map_ram(self, base: int, size: int, host_address: int) -> None:
        """Memory shared with the other cores; the host's must outlive this engine."""
        self._core.mem_map_ptr(base, size, unicorn_const.UC_PROT_ALL, host_address)

    def map_device(
        self, base: int, size: int, read: Callable[[int, int], int], write: Callable[[int, int, int], None]
    ) -> None:
        """Call `read(address, size)` and `write(address, size, value)` for accesses to a page-aligned region.

        `size` is 1, 2 or 4; what is wider arrives as consecutive words.
        """

        def on_read(_core: Any, offset: int, size: int, _data: object) -> int:
            try:
                return read(base + offset, size)
            except BaseException as error:
                self._fail(error)
                return 0

        def on_write(_core: Any, offset: int, size: int, value: int, _data: object) -> None:
            try:
                write(base + offset, size, value)
            except BaseException as error:
                self._fail(error)

        self._core.mmio_map(base, size, on_read, None, on_write, None)

    def flush_tlb(self) -> None:
        self._core.ctl(unicorn_const.UC_CTL_TLB_FLUSH, unicorn_const.UC_CTL_IO_WRITE)

    def flush_code(self) -> None:
        self._core.ctl_flush_tb()

    # -- hooks

    def on_msr(self, callback: Callable[[SystemRegister, int], bool]) -> None:
        """`callback` tells whether it has done the write; if not the core does it."""

        def written(_core: Any, _register: int, operand: Any, _data: object) -> bool:
            name = SystemRegister(operand.op0, operand.op1, operand.crn, operand.crm, operand.op2)
            return callback(name, operand.val)

        self._core.hook_add(unicorn_const.UC_HOOK_INSN, written, aux1=arm64_const.UC_ARM64_INS_MSR)

    def on_mrs(self, callback: Callable[[SystemRegister], int | None]) -> None:
        """`callback` yields the value to be read, or None to let the core read it."""

        def read(_core: Any, register: int, operand: Any, _data: object) -> bool:
            name = SystemRegister(operand.op0, operand.op1, operand.crn, operand.crm, operand.op2)
            value = callback(name)
            if value is None:
                return False
            if register != XZR:
                self.write(register, value)
            return True

        self._core.hook_add(unicorn_const.UC_HOOK_INSN, read, aux1=arm64_const.UC_ARM64_INS_MRS)

    def on_sys(self, callback: Callable[[int, int], None]) -> None:
        """`callback(crn, crm)` sees cache and TLB maintenance before the core does it."""

        def maintained(_core: Any, _register: int, operand: Any, _data: object) -> bool:
            callback(operand.crn, operand.crm)
            return False

        self._core.hook_add(unicorn_const.UC_HOOK_INSN, maintained, aux1=arm64_const.UC_ARM64_INS_SYS)

    # -- execution

    def run(self, pc: int, count: int) -> None:
        """Execute exactly `count` instructions from `pc`, or fewer when a callback stops or a trap or hole ends it.

        Afterwards `trap` and `hole` say what ended it, if one of them did.
        """
        self.trap = self.hole = None
        try:
            self._core.emu_start(pc, 0, count=count)
        except _unicorn.UcError as error:
            if self._failure is None and self.hole is None:
                raise MachineError(f"Unicorn gave up at {self.read(PC):#x}: {error}") from error
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure

    def stop(self) -> None:
        """Inside an instruction hook: end the slice after this instruction."""
        self._core.emu_stop()

    def stop_at(self, pc: int) -> None:
        """Inside a device callback: end the slice as soon as this access is done, with the PC at `pc`.

        Without it the PC would still be at the access, which would be done again.
        """
        self.write(PC, pc)
        self._core.emu_stop()

    def _fail(self, error: BaseException) -> None:
        if self._failure is None:
            self._failure = error
        self._core.emu_stop()

    def _trapped(self, core: Any, number: int, _data: object) -> None:
        core.context_update(self._context)
        at = ctypes.cast(self._context.context, ctypes.c_void_p).value or 0
        syndrome, _, address, target = _EXCEPTION.unpack(ctypes.string_at(at + self._offset, _EXCEPTION.size))
        self.trap = Trap(number, syndrome, address, target)
        core.emu_stop()

    def _unmapped(self, _core: Any, access: int, address: int, _size: int, _value: int, _data: object) -> bool:
        fetch = access == unicorn_const.UC_MEM_FETCH_UNMAPPED
        self.hole = Hole(address, fetch, access == unicorn_const.UC_MEM_WRITE_UNMAPPED)
        return False
