"""What gdb shows of a vCPU besides memory."""

from __future__ import annotations

import pytest

from tests.unit.gdbstub.local import GICC, GICD, LocalTarget, bring_up, snapshot, take
from vgicd.domain import operations as op
from vgicd.domain.config import DomainConfig
from vgicd.domain.domain import Domain
from vgicd.gdbstub import memory, registers
from vgicd.gdbstub.arch import ARCHES
from vgicd.gdbstub.target import Refused
from vgicd.hw.gich import GICH
from vgicd.hw.gicv import GICC as GICC_FRAME
from vgicd_protocol.frames import Role


@pytest.fixture
def target() -> LocalTarget:
    found = LocalTarget()
    bring_up(found.domain)
    return found


def register(target: LocalTarget, name: str) -> registers.VendorRegister:
    return next(found for found in registers.registers_of(target) if found.name == name)


def value(target: LocalTarget, name: str, vcpu: int = 0) -> int:
    return int.from_bytes(registers.read(target, vcpu, register(target, name).number, target.layout.idle), "little")


def refused_write(target: LocalTarget, number: int, data: bytes) -> str:
    before, order = snapshot(target.domain), target.domain.order
    with pytest.raises(Refused) as caught:
        registers.write(target, 0, number, data)
    assert (snapshot(target.domain), target.domain.order) == (before, order)
    text: str = caught.value.text
    assert text.endswith(".")
    return text


def test_a_register_keeps_its_number_when_a_reset_changes_how_many_list_registers_there_are() -> None:
    numbers: dict[str, int] = {}
    for lrs in (1, 4, 16, 64):
        found = registers.vendor_registers(lrs)
        assert len({register.number for register in found}) == len(found)
        for register in found:
            assert numbers.setdefault(register.name, register.number) == register.number


def test_names_and_numbers_are_those_of_the_rows() -> None:
    found = registers.vendor_registers(4)
    assert [register.number for register in found[:-2]] == list(range(200, 200 + len(found) - 2))
    assert [register.name for register in found] == [
        *("gicc_ctlr", "gicc_pmr", "gicc_bpr", "gicc_iar", "gicc_rpr", "gicc_hppir", "gicc_abpr", "gicc_aiar"),
        *("gicc_ahppir", "gicc_apr0", "gicc_iidr"),
        *("gich_hcr", "gich_vtr", "gich_vmcr", "gich_misr", "gich_eisr0", "gich_eisr1", "gich_elrsr0", "gich_elrsr1"),
        *("gich_apr", "gich_lr0", "gich_lr1", "gich_lr2", "gich_lr3"),
        *("irq_line", "order"),
    ]


@pytest.mark.parametrize("nr_lrs", [1, 4, 64])
def test_there_are_as_many_list_registers_as_are_implemented(nr_lrs: int) -> None:
    target = LocalTarget(Domain(DomainConfig(lrs=nr_lrs)))
    names = [found.name for found in registers.registers_of(target) if found.name.startswith("gich_lr")]
    assert names == [f"gich_lr{index}" for index in range(nr_lrs)]


def test_every_readable_word_of_the_interfaces_is_a_register() -> None:
    shown = {(found.space, found.offset) for found in registers.vendor_registers(64) if found.row is not None}
    expected = {
        (space, offset)
        for frame, space in ((GICC_FRAME, op.Space.GICC), (GICH, op.Space.GICH))
        for row in frame.rows
        if row.access != "WO"
        for offset in range(row.offset, row.offset + row.length, 4)
    }
    assert shown == expected


def test_a_register_reads_as_its_word_in_memory(target: LocalTarget) -> None:
    take(target.domain, 42, 0xA0, vcpu=1)
    windows = {int(op.Space.GICC): "gicc", int(op.Space.GICH): "gich"}
    for vcpu in (0, 1):
        for found in registers.registers_of(target):
            if found.row is not None:
                address = target.at(windows[found.space], found.offset)
                assert registers.read(target, vcpu, found.number, 0) == memory.read(target, vcpu, address, 4)


def test_reading_acknowledges_nothing(target: LocalTarget) -> None:
    target.domain.apply(op.Line(27, 1, 0))
    before = snapshot(target.domain)
    assert [value(target, "gicc_iar") for _ in range(2)] == [27, 27]
    assert (snapshot(target.domain), target.applied) == (before, [])


def test_the_line_is_that_of_the_selected_vcpu(target: LocalTarget) -> None:
    assert [value(target, "irq_line", vcpu) for vcpu in (0, 1)] == [0, 0]
    target.domain.apply(op.Line(27, 1, 1))
    assert [registers.LINE_LEVELS[value(target, "irq_line", vcpu)] for vcpu in (0, 1)] == ["low", "irq"]
    target.domain.apply(op.Write(1, GICC, 0x00, 4, 9))  # group 0 signals vFIQ
    assert registers.LINE_LEVELS[value(target, "irq_line", 1)] == "fiq"


def test_the_order_is_the_number_of_the_last_operation(target: LocalTarget) -> None:
    before = value(target, "order")
    assert before == target.domain.order > 0
    target.domain.apply(op.Line(27, 1, 0))
    assert value(target, "order") == before + 1


@pytest.mark.parametrize("arch", ARCHES)
def test_the_core_registers_are_zero_but_for_where_the_vcpu_is(arch: str) -> None:
    target = LocalTarget(arch=arch)
    data = registers.core_registers(target, 1, target.layout.idle)
    assert len(data) == sum(core.bits // 8 for core in target.arch.registers)
    pointer = sum(target.layout.stack(1)) - target.arch.slot
    at = 0
    for core in target.arch.registers:
        expected = {target.arch.pc: target.layout.idle, target.arch.sp: pointer}.get(core.number, 0)
        field = data[at : at + core.bits // 8]
        assert int.from_bytes(field, "little") == expected
        assert registers.read(target, 1, core.number, target.layout.idle) == field
        at += core.bits // 8


def test_a_write_is_the_guests(target: LocalTarget) -> None:
    registers.write(target, 1, register(target, "gicc_pmr").number, b"\x50\0\0\0")
    assert target.applied == [op.Write(1, GICC, 0x04, 4, 0x50)]
    assert (value(target, "gicc_pmr", 0), value(target, "gicc_pmr", 1)) == (0xF8, 0x50)


def test_a_list_register_is_written_in_explicit_mode_only(target: LocalTarget) -> None:
    number = register(target, "gich_lr0").number
    word = 1 << 28 | 40
    assert "monitor mode explicit" in refused_write(target, number, word.to_bytes(4, "little"))
    target.domain.apply(op.Mode(True))
    target.domain.apply(op.Enter(0))
    registers.write(target, 0, number, word.to_bytes(4, "little"))
    assert value(target, "gich_lr0") == word


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("gicc_iar", "GICC_IAR is read-only. Reading live_gicc.IAR acknowledges."),
        ("gich_vtr", "GICH_VTR is read-only."),
        ("gich_elrsr1", "GICH_ELRSR1 is read-only."),
        ("irq_line", "monitor irq"),
    ],
)
def test_what_cannot_be_written_says_so(target: LocalTarget, name: str, says: str) -> None:
    assert says in refused_write(target, register(target, name).number, b"\x01\0\0\0")


def test_the_order_cannot_be_set(target: LocalTarget) -> None:
    assert "cannot be set" in refused_write(target, register(target, "order").number, bytes(8))


def test_the_core_registers_cannot_be_set(target: LocalTarget) -> None:
    assert "$rip cannot be set" in refused_write(target, target.arch.pc, bytes(8))


def test_data_of_another_width_is_refused(target: LocalTarget) -> None:
    assert "has 32 bits, not 64" in refused_write(target, register(target, "gicc_pmr").number, bytes(8))


@pytest.mark.parametrize("number", [41, 199, 226, 5000])
def test_an_unknown_register_is_refused(target: LocalTarget, number: int) -> None:
    assert len(registers.registers_of(target)) == 26
    assert "no register" in refused_write(target, number, bytes(4))
    with pytest.raises(Refused, match="connect again"):
        registers.read(target, 0, number, 0)


def test_writes_need_a_role() -> None:
    target = LocalTarget(role=Role.OBSERVE)
    assert "role guest" in refused_write(target, register(target, "gicc_pmr").number, bytes(4))
    assert target.domain.apply(op.Read(0, GICD, 0x004, 4, op.Plane.DEBUG)).value
