"""What Unicorn does and does not let its user do: found in the loaded library, once.

Unicorn is QEMU's CPU without a machine.  What a machine needs is still in it, with no interface: interrupt inputs that
are sampled exactly where QEMU samples them, the architecture's exception entry, the count of executed instructions,
and the clock behind the counters.  No layout is assumed: each place is found by making the library use it, and a
library that answers otherwise is refused with `EngineMissing`.
"""

from __future__ import annotations

import ctypes
import struct
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, Final, NamedTuple, Protocol

from vgicd_machine.core.library import Library
from vgicd_machine.errors import EngineMissing

try:
    import unicorn
    from unicorn import arm64_const, unicorn_const
    from unicorn.unicorn_py3.unicorn import uclib
except ImportError as error:
    raise EngineMissing(f"the AArch64 machine needs the Unicorn engine ({error}): install vgicd[emulator]") from error

Pointer: Final = ctypes.c_void_p
_unicorn: Final[Any] = unicorn  # its types are partial

_LIBRARY: Final = Library(uclib._name, uclib.uc_version, "uc_version")
for _name in ("uc_vmem_read", "uc_vmem_write"):  # the newest of what is used: 2.1.3 has neither
    _LIBRARY.address(_name)
_SIZE_OF: Final = ctypes.CFUNCTYPE(ctypes.c_size_t, Pointer)(("malloc_usable_size", ctypes.CDLL(None)))

_CLOCK: Final = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, Pointer)
_OF_CPU: Final = ctypes.CFUNCTYPE(None, Pointer)
_EXECUTE: Final = ctypes.CFUNCTYPE(ctypes.c_int, Pointer, Pointer)
_FP_TARGET: Final = ctypes.CFUNCTYPE(ctypes.c_int, Pointer, ctypes.c_int)
_SAMPLE: Final = ctypes.CFUNCTYPE(ctypes.c_bool, Pointer, ctypes.c_int)
_RESET: Final = ctypes.CFUNCTYPE(None, Pointer, ctypes.c_int)

YIELDED: Final = 0x10004  # what QEMU's loop answers after WFE and YIELD
INPUT_IRQ: Final = 0x0002  # bits of QEMU's interrupt_request
INPUT_FIQ: Final = 0x0010
INPUT_OBSERVED: Final = 0x1000  # means nothing to this CPU, but makes the loop look
_EXCEPTION: Final = struct.Struct("<IIQI")  # syndrome, AArch32's FSR, faulting address, target exception level

_CODE_BUFFER: Final = 64 << 20  # bytes of translated code; the engine's own choice reserves a gibibyte for each core
_PROBE_ADDRESS: Final = 0x1000
_PROBE_COUNT: Final = 0x1234567
_PROBED_FEATURES: Final = 0x2222  # ID_AA64PFR0_EL1 of the model: four exception levels
_PROBES: Final = (  # instruction, QEMU's exception number, syndrome
    (0xD4024681, 2, 0x56001234),  # svc #0x1234
    (0xD42ACF00, 7, 0xF2005678),  # brk #0x5678
    (0x00000000, 1, 0x02000000),  # udf #0
)


class Layout(NamedTuple):
    """Offsets, in bytes: from a Uc's handle, or from its QEMU CPU."""

    handle_cpu: int  # the pointer to the QEMU CPU
    handle_counter: int  # instructions begun in this run; the next word is when to stop
    cpu_inputs: int  # interrupt_request
    cpu_number: int  # exception_index
    cpu_exception: int  # see _EXCEPTION
    cpu_features: int  # where the guest's ID_AA64PFR0_EL1 is read from


class Hooks(Protocol):
    """What the running engine is asked, by code deep in the library. None of them may raise."""

    def clock(self) -> int:
        """The time in nanoseconds."""

    def entered(self, cpu: int) -> None:
        """An interrupt is being taken: the exception entry is the next thing to happen."""

    def yielded(self) -> None:
        """WFE or YIELD has been executed."""

    def observed(self) -> None:
        """The CPU is at a place where it samples its inputs, one of which has bit `INPUT_OBSERVED`."""

    def fp_target(self, level: int) -> int:
        """The exception level that a floating-point instruction at `level` is trapped to; 0 if it is not."""


class _Current(threading.local):
    """The hooks of the engine that runs in this thread, if one does; others' Unicorns have none."""

    hooks: Hooks | None = None


current: Final = _Current()
"""To be set around every run."""

_real_clock = _CLOCK(ctypes.cast(ctypes.CDLL(None).clock_gettime, Pointer).value or 0)
_real_enter = _OF_CPU(_LIBRARY.address("arm_cpu_do_interrupt_aarch64"))
_real_execute = _EXECUTE(_LIBRARY.address("cpu_exec_aarch64"))
_real_sample = _SAMPLE(_LIBRARY.address("arm_cpu_exec_interrupt_aarch64"))
_executed: deque[int] = deque(maxlen=1)  # the QEMU CPU that was last run by somebody else, such as `_probe`


def _clock(kind: int, at: int) -> int:
    hooks = current.hooks
    if hooks is None:
        return int(_real_clock(kind, at))
    seconds, nanoseconds = ctypes.c_int64.from_address(at), ctypes.c_int64.from_address(at + 8)
    seconds.value, nanoseconds.value = 0, hooks.clock()
    return 0


def _enter(cpu: int) -> None:
    if current.hooks is not None:
        current.hooks.entered(cpu)
    _real_enter(cpu)


def _execute(handle: int, cpu: int) -> int:
    answer = int(_real_execute(handle, cpu))
    if current.hooks is None:
        _executed.append(cpu)
    elif answer == YIELDED:
        current.hooks.yielded()
    return answer


def _sample(cpu: int, inputs: int) -> bool:
    if inputs & INPUT_OBSERVED and current.hooks is not None:
        current.hooks.observed()
    return bool(_real_sample(cpu, inputs))


_INTERPOSED: Final = {  # kept here, because the library has their addresses
    "clock_gettime": _CLOCK(_clock),
    "arm_cpu_do_interrupt_aarch64": _OF_CPU(_enter),
    "arm_cpu_exec_interrupt_aarch64": _SAMPLE(_sample),
    "cpu_exec_aarch64": _EXECUTE(_execute),
}
for _name, _function in _INTERPOSED.items():
    _LIBRARY.interpose(_name, _function)


def _fp_target(_environment: int, level: int) -> int:
    return 0 if current.hooks is None else current.hooks.fp_target(level)


def trap_floating_point() -> None:
    """From now on `Hooks.fp_target` is asked, at every exception and return; Unicorn itself never traps these."""
    if "fp_exception_el_aarch64" not in _INTERPOSED:
        _INTERPOSED["fp_exception_el_aarch64"] = function = _FP_TARGET(_fp_target)
        _LIBRARY.interpose("fp_exception_el_aarch64", function)


def take_exception(cpu: int) -> None:
    """The architecture's exception entry for what the QEMU CPU's exception_index and exception say."""
    _real_enter(cpu)


def new_core() -> Any:
    """A Uc of the model that the machine has."""
    core = _unicorn.Uc(unicorn_const.UC_ARCH_ARM64, unicorn_const.UC_MODE_ARM)
    core.ctl_set_cpu_model(arm64_const.UC_CPU_ARM64_A57)
    core.ctl_set_tcg_buffer_size(_CODE_BUFFER)
    core.ctl_exits_enabled(True)  # else the address 0 in a run would be taken for an exit
    core.reg_read(arm64_const.UC_ARM64_REG_PC)  # only the first use makes the CPU
    return core


def _find(what: str, places: list[int]) -> int:
    if len(places) != 1:
        raise EngineMissing(
            f"Unicorn {_unicorn.__version__} keeps {what} at {len(places)} places: install the version that "
            "vgicd[emulator] names"
        )
    return places[0]


def _words(image: bytes, size: int, wanted: Callable[[int], bool]) -> set[int]:
    return {n for n in range(0, len(image) - size + 1, size) if wanted(int.from_bytes(image[n : n + size], "little"))}


def _probe() -> Layout:
    core = new_core()
    core.mem_map(_PROBE_ADDRESS, 0x1000)
    handle = core._uch.value
    core.mem_write(_PROBE_ADDRESS, struct.pack("<2I", 0xD503201F, 0xD503201F))  # nop
    core.emu_start(_PROBE_ADDRESS, 0, count=1)
    cpu = _executed[-1]
    images: list[bytes] = []
    outer: list[bytes] = []

    def trapped(core: Any, _number: int, _data: object) -> None:
        images.append(ctypes.string_at(cpu, _SIZE_OF(cpu)))
        outer.append(ctypes.string_at(handle, _SIZE_OF(handle)))
        core.emu_stop()

    core.hook_add(unicorn_const.UC_HOOK_INTR, trapped)
    numbers: set[int] | None = None
    syndromes: set[int] | None = None
    for word, number, syndrome in _PROBES:
        core.mem_write(_PROBE_ADDRESS, struct.pack("<3I", 0xD503201F, 0xD503201F, word))
        core.ctl_flush_tb()
        core.emu_start(_PROBE_ADDRESS, 0, count=_PROBE_COUNT)
        found = _words(images[-1], 4, number.__eq__)
        numbers = found if numbers is None else numbers & found
        found = _words(images[-1], 4, syndrome.__eq__)
        syndromes = found if syndromes is None else syndromes & found
    counters = [
        n - 8
        for n in _words(outer[-1], 8, _PROBE_COUNT.__eq__)
        if n >= 8 and int.from_bytes(outer[-1][n - 8 : n], "little") == 3
    ]
    pointers = sorted(_words(outer[-1], 8, cpu.__eq__))
    scratch = ctypes.create_string_buffer(b"\xff" * 0x4000)
    _RESET(_LIBRARY.address("cpu_reset_interrupt"))(ctypes.addressof(scratch), -1)
    return Layout(
        _find("its CPU", pointers),
        _find("its count of instructions", counters),
        _find("its inputs", [n for n in range(0, 0x4000, 4) if scratch.raw[n : n + 4] == bytes(4)]),
        _find("its exception's number", sorted(numbers or ())),
        _find("its exception's syndrome", sorted(syndromes or ())),
        _find("its features", sorted(_words(images[-1], 8, _PROBED_FEATURES.__eq__))),
    )


LAYOUT: Final = _probe()
