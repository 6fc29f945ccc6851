"""PSCI calls and their answers."""

from __future__ import annotations

from vgicd_machine.board import psci

CPU_ON, CPU_ON_32, AFFINITY_INFO, FEATURES = 0xC400_0003, 0x8400_0003, 0xC400_0004, 0x8400_000A


class Power:
    """Two CPUs, of which the first is on."""

    def __init__(self) -> None:
        self.states = [True, False]
        self.log: list[tuple[object, ...]] = []

    def is_on(self, cpu: int) -> bool | None:
        return self.states[cpu] if cpu < len(self.states) else None

    def switch_on(self, cpu: int, entry: int, context: int) -> None:
        self.log.append(("on", cpu, entry, context))

    def switch_off(self, cpu: int) -> None:
        self.log.append(("off", cpu))

    def suspend(self, cpu: int) -> None:
        self.log.append(("suspend", cpu))

    def end(self, *, reset: bool) -> None:
        self.log.append(("end", reset))


def call(power: Power, function: int, *arguments: int) -> int:
    one, two, three = (*arguments, 0, 0, 0)[:3]
    return psci.call(power, 0, function, (one, two, three))


def test_cpu_on() -> None:
    power = Power()
    assert call(power, CPU_ON, 1, 0x4000_0000, 7) == psci.SUCCESS
    assert call(power, CPU_ON_32, 1, 0x4000_0000, 7) == psci.SUCCESS
    assert power.log == [("on", 1, 0x4000_0000, 7)] * 2


def test_cpu_on_refuses() -> None:
    power = Power()
    assert call(power, CPU_ON, 0, 0x4000_0000) == psci.ALREADY_ON
    assert call(power, CPU_ON, 2, 0x4000_0000) == psci.INVALID_PARAMETERS
    assert call(power, CPU_ON, 0x100, 0x4000_0000) == psci.INVALID_PARAMETERS, "affinity 1 is not ignored"
    assert power.log == []


def test_affinity_info() -> None:
    power = Power()
    assert [call(power, AFFINITY_INFO, cpu) for cpu in range(3)] == [0, 1, psci.INVALID_PARAMETERS]


def test_affinity_info_of_groups() -> None:
    power = Power()
    assert [call(power, AFFINITY_INFO, 1, level) for level in range(1, 5)] == [0, 0, 0, psci.INVALID_PARAMETERS]
    assert call(power, AFFINITY_INFO, 0x100, 1) == psci.INVALID_PARAMETERS, "no such group"


def test_arguments_of_32_bit_calls_are_words() -> None:
    power = Power()
    upper = 0xFFFF_FFFF << 32
    assert call(power, CPU_ON_32, upper | 1, upper | 0x4000_0000, upper | 7) == psci.SUCCESS
    assert power.log == [("on", 1, 0x4000_0000, 7)]


def test_power_functions() -> None:
    power = Power()
    assert call(power, 0x8400_0002) == psci.SUCCESS
    assert call(power, 0xC400_0001, 0) == psci.SUCCESS
    assert call(power, 0x8400_0008) == psci.SUCCESS
    assert call(power, 0x8400_0009) == psci.SUCCESS
    assert power.log == [("off", 0), ("suspend", 0), ("end", False), ("end", True)]


def test_versions_and_features() -> None:
    power = Power()
    assert call(power, 0x8400_0000) == 0x1_0000
    assert call(power, 0x8000_0000) == 0x1_0001
    assert call(power, 0x8400_0006) == 2
    assert call(power, FEATURES, CPU_ON) == psci.SUCCESS
    assert call(power, FEATURES, 0x8400_0010) == psci.NOT_SUPPORTED


def test_unknown_functions_are_not_supported() -> None:
    power = Power()
    assert call(power, 0x8400_0010) == psci.NOT_SUPPORTED
    assert call(power, 0xC400_0002) == psci.NOT_SUPPORTED, "CPU_OFF has no 64-bit variant"
    assert call(power, 0) == psci.NOT_SUPPORTED
    assert power.log == []
