"""Every place of every frame, at every width, with zeros, ones and walking ones: exactly what the rows say.

The row's data (offset, length, widths, bits per interrupt, reset, writable mask, effect) predict the answer; its
handlers are what is judged.  The few facts that a row states in words only are repeated here with their clause.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

import pytest

from tests.property import invariants
from tests.property.ops import WORD, Refusal, Script, answer, genes, snapshot
from vgicd.domain import operations as op
from vgicd.domain.config import DomainConfig
from vgicd.domain.domain import Domain
from vgicd.domain.errors import Code
from vgicd.hw import list_register as lr
from vgicd.hw.gich import GICH
from vgicd.hw.gicv import GICC
from vgicd.registers import Frame, Register
from vgicd.vgic.distributor import GICD

WIDTHS: Final = (1, 2, 4, 8)
CONFIG: Final = DomainConfig(vcpus=2, spis=64, lrs=4)
NR_IRQS: Final = 96
VCPU: Final = 1  # not 0, so that a banked register taken from vCPU 0 would show

# INTIDs below these are read-only in registers that are otherwise writable.
READ_ONLY_BELOW: Final = {
    "GICD_ISPENDR": 16,  # F13: SGIs become pending through SGIR and SPENDSGIR
    "GICD_ICPENDR": 16,
    "GICD_ITARGETSR": 32,  # 5.2.7: private interrupts have one target
    "GICD_ICFGR": 32,  # 5.2.8
}
# Writes below the minimum are raised to it (IHI 0048B 4.4.3).
CLAMPED: Final = {"GICC_BPR": 2, "GICC_ABPR": 3}


def values(size: int, *, walking: bool = True) -> Iterator[int]:
    """Zeros, ones, and each single bit."""
    yield 0
    yield (1 << 8 * size) - 1
    if walking:
        yield from (1 << bit for bit in range(8 * size))


def admitted(frame: Frame, offset: int, size: int) -> Register | None:
    """The gate, said again: a row, its widths, alignment, and the first interrupt within the domain."""
    for row in frame.rows:
        if row.offset <= offset < row.offset + row.length:
            fits = row.widths & size and offset % size == 0
            exists = not row.bits or (offset - row.offset) * 8 // row.bits < NR_IRQS
            return row if fits and exists else None
    return None


def fields(row: Register, offset: int, size: int) -> Iterator[tuple[int, int, int]]:
    """(INTID, shift, mask of the interrupt's bits) for each interrupt that an access touches."""
    first = (offset - row.offset) * 8 // row.bits
    for index in range(8 * size // row.bits):
        yield first + index, index * row.bits, ((1 << row.bits) - 1) << index * row.bits


def reset_value(row: Register, offset: int, size: int) -> int | None:
    """What the row says an access reads after reset; None where that depends on more than the row."""
    if not row.bits:
        return row.reset if isinstance(row.reset, int) else None
    if row.name == "GICD_ITARGETSR":
        return sum((1 << VCPU if intid < 32 else 0) << shift for intid, shift, _ in fields(row, offset, size))
    return sum(row.element(intid) << shift for intid, shift, _ in fields(row, offset, size))


def after_write(row: Register, offset: int, size: int, old: int, value: int) -> int:
    """What the row says is read back after `value` was written over `old`."""
    if not row.bits:
        mask = row.writable
    else:
        lowest = READ_ONLY_BELOW.get(row.name, 0)
        mask = sum(row.writable << shift for intid, shift, _ in fields(row, offset, size) if intid >= lowest)
        if row.name == "GICD_ITARGETSR":
            mask &= 0x0303_0303  # two vCPUs exist
    match row.effect:
        case "store":
            new = old & ~mask | value & mask
            return max(new, CLAMPED.get(row.name, 0))
        case "set":
            return old | value & mask
        case "clear":
            return old & ~(value & mask)
    return old


def fresh(config: DomainConfig = CONFIG) -> Domain:
    """As created; in automatic mode, where every vCPU is inside."""
    return Domain(config)


def full(config: DomainConfig = CONFIG) -> Domain:
    """Every writable bit of the distributor set, but not its enable: everything is pending and active at once."""
    domain = fresh(config)
    for vcpu in range(CONFIG.vcpus):
        for row in GICD.rows:
            if row.bits and row.effect in ("store", "set"):
                for offset in range(row.offset, row.offset + row.length, 4):
                    domain.apply(op.Write(vcpu, op.Space.GICD, offset, 4, WORD))
    return domain


def read(domain: Domain, space: int, offset: int, size: int, plane: int = op.Plane.GUEST) -> op.Result:
    result = domain.apply(op.Read(VCPU, space, offset, size, plane))
    assert isinstance(result, op.Result)
    return result


BASES: Final = {"fresh": fresh, "full": full}
# Walking ones at every n-th byte offset: at some in the ordinary suite, everywhere in the long one.
EVERY: Final = (256, pytest.param(4, marks=pytest.mark.long))
FRAMES: Final = {"GICD": (op.Space.GICD, GICD), "GICC": (op.Space.GICC, GICC)}


@pytest.mark.parametrize("name", FRAMES)
def test_every_register_reads_its_reset_value(name: str) -> None:
    space, frame = FRAMES[name]
    domain = fresh()
    for offset in range(0, frame.size, 4):
        row = admitted(frame, offset, 4)
        if row is None:
            assert (read(domain, space, offset, 4).value, offset) == (0, offset)
        elif (wanted := reset_value(row, offset, 4)) is not None:
            assert (read(domain, space, offset, 4).value, row.name, offset) == (wanted, row.name, offset)


@pytest.mark.parametrize(
    ("name", "base"),
    [
        pytest.param(name, base, marks=pytest.mark.long if (name, base) == ("GICD", "full") else ())
        for name in FRAMES
        for base in BASES
    ],
)
def test_an_admitted_access_does_what_its_row_says(name: str, base: str) -> None:
    """Every offset, lane and width that the gate admits, with zeros, ones and walking ones."""
    space, frame = FRAMES[name]
    domain = BASES[base]()
    image = snapshot(domain)
    for offset in range(frame.size):
        for size in WIDTHS:
            row = admitted(frame, offset, size)
            if row is None:
                continue
            old = read(domain, space, offset, size, op.Plane.DEBUG).value
            for value in values(size):
                note = f"{row.name} at {offset:#x}, {size} bytes, {old:#x} <- {value:#x}"
                written = domain.apply(op.Write(VCPU, space, offset, size, value))
                assert (written.value or 0, written.fault) == (0, False), note
                invariants.check_structure(domain)
                peeked = read(domain, space, offset, size, op.Plane.DEBUG)
                after = read(domain, space, offset, size)
                assert peeked.value == after.value, note
                if row.effect in ("store", "set", "clear") or row.access == "WO":
                    assert f"{after.value:#x}" == f"{after_write(row, offset, size, old, value):#x}", note
                domain.apply(op.Restore(image))


@pytest.mark.parametrize("every", EVERY)
@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("name", FRAMES)
def test_a_refused_access_is_harmless(name: str, strict: bool, base: str, every: int) -> None:
    """Places without a register, wrong widths, wrong alignment, interrupts beyond the last: RAZ/WI, or an abort."""
    space, frame = FRAMES[name]
    domain = BASES[base](replace(CONFIG, strict_abort=strict))
    before = snapshot(domain)
    for offset in range(0, frame.size, 4):
        for size in WIDTHS:
            if admitted(frame, offset, size) is not None:
                continue
            for value in values(size, walking=offset % every == 0):
                result = domain.apply(op.Write(VCPU, space, offset, size, value))
                assert result.fault == strict, (hex(offset), size)
            result = read(domain, space, offset, size)
            assert (result.value, result.fault) == (0, strict), (hex(offset), size)
    assert snapshot(domain) == before


@pytest.mark.parametrize("every", EVERY)
@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("name", ["GICD", "GICC", "GICH"])
def test_the_debug_plane_changes_no_byte(name: str, base: str, every: int) -> None:
    """The same accesses on the DEBUG plane: reads answer, writes are refused as READ_ONLY, nothing changes."""
    space, frame = {**FRAMES, "GICH": (op.Space.GICH, GICH)}[name]
    domain = BASES[base]()
    before = snapshot(domain)
    for offset in range(0, frame.size, 4):
        for size in WIDTHS:
            for value in values(size, walking=offset % every == 0):
                refused = answer(domain, op.Write(VCPU, space, offset, size, value, op.Plane.DEBUG))
                assert isinstance(refused, Refusal), (hex(offset), size)
                assert refused.code == Code.READ_ONLY
            answer(domain, op.Read(VCPU, space, offset, size, op.Plane.DEBUG))
        if offset % 256 == 0:
            assert snapshot(domain) == before
    assert snapshot(domain) == before


def gich_after_write(row: Register, value: int) -> int:
    match row.name:
        case "GICH_LR":
            return lr.writable(value)
        case "GICH_VMCR":
            points = max(value >> 21 & 7, 2) << 21 | max(value >> 18 & 7, 3) << 18
            return value & row.writable & ~0x00FC0000 | points
        case _:
            return value & row.writable


def inside(used_lrs: int) -> Domain:
    """Explicit mode, the vCPU inside, its first `used_lrs` list registers in use for SPIs 82, 83, ..."""
    domain = fresh()
    domain.apply(op.Mode(True))
    domain.apply(op.Enter(VCPU))
    for index in range(used_lrs):
        domain.apply(op.LrSet(VCPU, index, 0x1A00_0000 | 82 + index))
    return domain


@pytest.mark.parametrize("row", GICH.rows, ids=lambda row: row.name)
def test_every_gich_register_does_what_its_row_says(row: Register) -> None:
    """GICH is written in explicit mode only, as a word; list registers from 0 up (IHI 0048B 5.3)."""
    for offset in range(row.offset, row.offset + row.length, 4):
        index = (offset - row.offset) // 4
        domain = inside(min(index, CONFIG.lrs) if row.name == "GICH_LR" else 0)
        image = snapshot(domain)
        for value in (*values(4), 0xFFFF_FC21, 0x7FFF_FC21):
            result = answer(domain, op.Gich(VCPU, offset, value))
            note = f"{row.name} at {offset:#x} <- {value:#x}"
            if row.access != "RW":
                assert result == Refusal(Code.READ_ONLY, "offset"), note
            elif row.name == "GICH_LR" and index >= CONFIG.lrs:
                assert result == Refusal(Code.BAD_VALUE, "index"), note
            elif row.name == "GICH_LR" and value & 0x3FF >= NR_IRQS:
                assert result == Refusal(Code.BAD_INTID, "value"), note
            else:
                got = read(domain, op.Space.GICH, offset, 4, op.Plane.DEBUG).value
                assert f"{got:#x}" == f"{gich_after_write(row, value):#x}", note
                invariants.check_structure(domain)
                domain.apply(op.Restore(image))
        assert snapshot(domain) == image


def test_gich_has_nothing_between_its_registers() -> None:
    domain = inside(0)
    image = snapshot(domain)
    for offset in range(0, GICH.size + 8, 4):
        if offset >= GICH.size or GICH.row_at(offset) is None:
            for value in values(4):
                assert answer(domain, op.Gich(VCPU, offset, value)) == Refusal(Code.BAD_ADDRESS, "offset")
    assert snapshot(domain) == image


def test_four_bytes_make_a_word() -> None:
    """IPRIORITYR and ITARGETSR by bytes and by words (Xen's byte lanes, gem5's width fix)."""
    for offset in (0x41C, 0x420, 0x45C, 0x820, 0x858):
        for value in (0x0102_0304, 0xF8A0_5008, WORD, 0):
            by_word, by_byte = fresh(), fresh()
            by_word.apply(op.Write(VCPU, op.Space.GICD, offset, 4, value))
            for lane in range(4):
                by_byte.apply(op.Write(VCPU, op.Space.GICD, offset + lane, 1, value >> 8 * lane & 0xFF))
            assert snapshot(by_word) == snapshot(by_byte)
            lanes = [read(by_word, op.Space.GICD, offset + lane, 1).value << 8 * lane for lane in range(4)]
            assert sum(lanes) == read(by_word, op.Space.GICD, offset, 4).value


@pytest.mark.parametrize("spis", [0, 32, 64, 960])
def test_the_last_interrupt_is_the_last(spis: int) -> None:
    """Each per-interrupt register at its last word and one beyond (XSA-94)."""
    domain = Domain(DomainConfig(vcpus=1, spis=spis, strict_abort=True))
    for row in GICD.rows:
        if row.bits and row.length > 16:
            end = row.offset + (32 + spis) * row.bits // 8
            assert not domain.apply(op.Read(0, op.Space.GICD, end - 4, 4)).fault, row.name
            assert not domain.apply(op.Write(0, op.Space.GICD, end - 4, 4, WORD)).fault, row.name
            if end < row.offset + row.length:
                assert domain.apply(op.Read(0, op.Space.GICD, end, 4)).fault, row.name
                assert domain.apply(op.Write(0, op.Space.GICD, end, 4, WORD)).fault, row.name
            invariants.check_structure(domain)


@pytest.mark.long
@pytest.mark.parametrize(("variant", "profile"), [("correct", "virt"), ("correct", "xen-guest"), ("xen", "xen-guest")])
def test_every_access_to_a_busy_domain_keeps_the_invariants(variant: str, profile: str) -> None:
    """Every word of every frame at every width, over a domain in the middle of its work."""
    domain = Domain(DomainConfig(vcpus=2, spis=64, lrs=2, variant=variant, profile=profile))
    for _ in Script(domain.config, modes=False).play(domain, genes(0, 150)):
        pass
    image = snapshot(domain)
    for space, frame in ((op.Space.GICD, GICD), (op.Space.GICC, GICC), (op.Space.GICH, GICH)):
        for offset in range(0, frame.size, 4):
            for size in WIDTHS:
                row = frame.row_at(offset)
                for value in values(size, walking=row is not None and bool(row.widths & size)):
                    for operation in (
                        op.Write(VCPU, space, offset, size, value),
                        op.Read(VCPU, space, offset, size),
                    ):
                        before = domain.order
                        if isinstance(answer(domain, operation), Refusal):
                            assert domain.order == before
                        else:
                            domain.check_invariants()
                            invariants.check_structure(domain)
            domain.apply(op.Restore(image))
            assert snapshot(domain) == image, hex(offset)
