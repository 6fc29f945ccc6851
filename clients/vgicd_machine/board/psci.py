"""PSCI 1.0 (DEN 0022) over HVC, the machine's power controller."""

from __future__ import annotations

from typing import Final, Protocol

SUCCESS: Final = 0
NOT_SUPPORTED: Final = -1
INVALID_PARAMETERS: Final = -2
ALREADY_ON: Final = -4

_WORD: Final = 0xFFFF_FFFF
_SMC64: Final = 0x4000_0000  # the 64-bit variant of a function has this bit as well
_VERSION, _SUSPEND, _OFF, _ON, _AFFINITY_INFO = (0x8400_0000 + n for n in range(5))
_MIGRATE_INFO_TYPE, _SYSTEM_OFF, _SYSTEM_RESET, _FEATURES = 0x8400_0006, 0x8400_0008, 0x8400_0009, 0x8400_000A
_SMCCC_VERSION: Final = 0x8000_0000
_WITH_64_BITS: Final = frozenset({_SUSPEND, _ON, _AFFINITY_INFO})
_KNOWN: Final = _WITH_64_BITS | {
    _VERSION, _OFF, _MIGRATE_INFO_TYPE, _SYSTEM_OFF, _SYSTEM_RESET, _FEATURES, _SMCCC_VERSION,
}  # fmt: skip
_HIGHEST_LEVEL: Final = 3
_WITHIN_GROUP: Final = 0xFF  # affinity 0
_AFFINITY: Final = 0xFF_00FF_FFFF  # the affinity fields of MPIDR_EL1


class PowerController(Protocol):
    """What PSCI acts on. CPUs are named by index, which is affinity 0 of their MPIDR_EL1."""

    def is_on(self, cpu: int) -> bool | None:
        """None when there is no such CPU."""

    def switch_on(self, cpu: int, entry: int, context: int) -> None:
        """`cpu` begins at `entry` with `context` in X0."""

    def switch_off(self, cpu: int) -> None:
        """`cpu` executes nothing more until it is switched on."""

    def suspend(self, cpu: int) -> None:
        """`cpu` waits for an interrupt."""

    def end(self, *, reset: bool) -> None:
        """The system is switched off, or asks to be reset."""


def call(power: PowerController, cpu: int, function: int, arguments: tuple[int, int, int]) -> int:
    """Carry out `cpu`'s call and yield what X0 shall be, as a signed number; unknown functions are NOT_SUPPORTED.

    A power-down state of CPU_SUSPEND is answered as standby, as the specification allows.
    """
    if not function & _SMC64:  # then its arguments are W1 to W3 (DEN 0028)
        arguments = (arguments[0] & _WORD, arguments[1] & _WORD, arguments[2] & _WORD)
    name = _name(function)
    match name:
        case 0x8000_0000:
            return 0x1_0001  # SMCCC 1.1
        case 0x8400_0000:
            return 0x1_0000  # PSCI 1.0
        case 0x8400_0001:
            power.suspend(cpu)
        case 0x8400_0002:
            power.switch_off(cpu)
        case 0x8400_0003:
            return _switch_on(power, *arguments)
        case 0x8400_0004:
            return _affinity_info(power, arguments[0] & _AFFINITY, arguments[1])
        case 0x8400_0006:
            return 2  # no Trusted OS to migrate
        case 0x8400_0008 | 0x8400_0009:
            power.end(reset=name == _SYSTEM_RESET)
        case 0x8400_000A:
            return NOT_SUPPORTED if _name(arguments[0] & _WORD) is None else SUCCESS
        case _:
            return NOT_SUPPORTED
    return SUCCESS


def _name(function: int) -> int | None:
    """The 32-bit identifier of a known function, None for an unknown one."""
    name = function & ~_SMC64
    if name not in _KNOWN or (function & _SMC64 and name not in _WITH_64_BITS):
        return None
    return name


def _affinity_info(power: PowerController, target: int, level: int) -> int:
    """0 if the CPU, or from `level` 1 on one of the group, is on, else 1 (DEN 0022 5.7)."""
    if level:  # every CPU is in group 0 of each level, and the one that asks is on
        return INVALID_PARAMETERS if level > _HIGHEST_LEVEL or target > _WITHIN_GROUP else 0
    on = power.is_on(target)
    return INVALID_PARAMETERS if on is None else int(not on)


def _switch_on(power: PowerController, target: int, entry: int, context: int) -> int:
    on = power.is_on(target & _AFFINITY)
    if on is None:
        return INVALID_PARAMETERS
    if on:
        return ALREADY_ON
    power.switch_on(target & _AFFINITY, entry, context)
    return SUCCESS
