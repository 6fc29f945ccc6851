"""QEMU's own GIC and vgicd, with a line between them: edges, levels, and lines that change their type."""

from __future__ import annotations

from collections import deque
from typing import Any, cast

import pytest

from vgicd_bridge.devices import DISTRIBUTOR, Devices
from vgicd_bridge.gic import Gic
from vgicd_bridge.stage2 import Span
from vgicd_bridge.wires import Wires

GUEST = 0x03001000  # where the guest has its GICD, which is not where QEMU has
ICFGR2 = 0xC08
SPI = 40
EDGE = 2 << 16


class Qemu:
    """`Wires` down to registers of QEMU's GIC."""

    def __init__(self) -> None:
        self.pending = 0  # GICD_ISPENDR1: the levels
        self.enabled = 0  # lines of GICD_ISENABLER1
        self.types: dict[int, int] = {}

    def read(self, address: int) -> int:
        assert address == DISTRIBUTOR + 0x204
        return self.pending

    def write(self, *words: tuple[int, int]) -> None:
        for address, value in words:
            offset = address - DISTRIBUTOR
            if offset == 0x104:
                self.enabled |= value
            elif offset == 0x184:
                self.enabled &= ~value
            elif 0xC00 <= offset < 0xD00:
                self.types[offset] = value


class Vgicd:
    """`Gic` down to what is said to it."""

    def __init__(self, spis: int) -> None:
        self.windows = {"GICD": Span(GUEST, GUEST + 0x1000)}
        self.spis = spis
        self.types = 0  # GICD_ICFGR2
        self.lines: deque[tuple[str, int, int]] = deque()

    def peek(self, address: int) -> int:
        return self.types if address == GUEST + ICFGR2 else 0

    def spi(self, intid: int, level: int) -> None:
        self.lines.append(("level", intid, level))

    def pulse(self, intid: int) -> None:
        self.lines.append(("pulse", intid, 1))


class Rig:
    def __init__(self, spis: int = 64) -> None:
        self.qemu = Qemu()
        self.vgicd = Vgicd(spis)
        self.devices = Devices(cast("Wires", cast("Any", self.qemu)), cast("Gic", cast("Any", self.vgicd)))
        self.devices.start()

    def said(self) -> list[tuple[str, int, int]]:
        said = list(self.vgicd.lines)
        self.vgicd.lines.clear()
        return said

    def masked(self) -> bool:
        return not self.qemu.enabled >> SPI - 32 & 1


@pytest.mark.parametrize(("spis", "enabled"), [(64, 0xFFFF_FFFF), (8, 0xFF), (0, 0)])
def test_qemu_signals_only_lines_that_the_domain_has(spis: int, enabled: int) -> None:
    assert Rig(spis).qemu.enabled == enabled


def test_a_level_is_held_until_it_has_fallen() -> None:
    rig = Rig()
    rig.qemu.pending = 1 << SPI - 32
    rig.devices.signal(SPI)
    assert rig.said() == [("level", SPI, 1)]
    assert rig.masked(), "or QEMU's GIC would signal it without end"
    rig.devices.look()
    assert rig.said() == []
    rig.qemu.pending = 0
    rig.devices.look()
    assert rig.said() == [("level", SPI, 0)]
    assert not rig.masked()
    rig.devices.look()
    assert rig.said() == []


def test_an_edge_is_a_pulse_and_stays_enabled() -> None:
    rig = Rig()
    rig.vgicd.types = EDGE
    rig.devices.written(GUEST + ICFGR2 + 2)
    assert rig.qemu.types[ICFGR2] == EDGE
    rig.devices.signal(SPI)
    assert rig.said() == [("pulse", SPI, 1)]
    assert not rig.masked()


def test_a_held_line_that_becomes_an_edge_is_let_go() -> None:
    rig = Rig()
    rig.qemu.pending = 1 << SPI - 32
    rig.devices.signal(SPI)
    rig.vgicd.types = EDGE
    rig.devices.written(GUEST + ICFGR2)
    assert rig.said() == [("level", SPI, 1), ("level", SPI, 0)]
    assert not rig.masked()


def test_other_registers_change_no_type() -> None:
    rig = Rig()
    rig.vgicd.types = EDGE
    for offset in (0x104, 0xC04, 0xE00):
        rig.devices.written(GUEST + offset)
    assert rig.qemu.types.get(ICFGR2) != EDGE
