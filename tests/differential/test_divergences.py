"""Both answers for every divergence that is allowed: QEMU's, unconverted, beside ours.

A test here fails when QEMU changes (the entry can go) and when vgicd does.
"""

from __future__ import annotations

from tests.differential.both import Both, Pair
from tests.differential.divergences import TABLE

LR = 0x100
IAR, EOIR, RPR, HPPIR, ABPR, AIAR, AEOIR, AHPPIR, DIR = 0x0C, 0x10, 0x14, 0x18, 0x1C, 0x20, 0x24, 0x28, 0x1000
PENDING, ACTIVE, GROUP1 = 1 << 28, 2 << 28, 1 << 30
SPURIOUS, OTHER_GROUP = 1023, 1022
SPI = 40  # bit 8 of the second word of each bitmap


def lr(intid: int, priority: int, state: int = PENDING, group: int = 0) -> int:
    return state | group << 30 | priority >> 3 << 23 | intid


def enable_spi(both: Both, priority: int, *, cpu: int = 0) -> None:
    """SPI 40, edge-triggered on both."""
    both.write("GICD", 0xC08, 0xAAAAAAAA, cpu=cpu)
    both.write("GICD", 0x400 + SPI, priority, 1, cpu)
    both.write("GICD", 0x104, 1 << 8, cpu=cpu)


def test_the_table_is_short_complete_and_shown() -> None:
    """At most 20 entries, each with a clause, a side believed right and a test of its name in this module."""
    assert len(TABLE) <= 20
    names = [entry.name for entry in TABLE]
    assert len(set(names)) == len(names)
    for entry in TABLE:
        assert entry.clause
        assert entry.right
        assert entry.why
        assert set(entry.cases) <= set("abc")
        prefix = f"test_{entry.name.replace('-', '_')}"
        assert any(name.startswith(prefix) for name in globals()), f"no test shows {entry.name}"


def test_identification(single: Both) -> None:
    assert single.read("GICD", 0x008) == Pair(0x4B01243B, 0x0000043B)
    assert single.read("GICC", 0x0FC) == Pair(0x0202143B, 0x0002043B)


def test_binary_point_minimum(single: Both) -> None:
    single.write("GICC", 0x08, 0)
    single.write("GICC", ABPR, 0)
    assert single.read("GICC", 0x08) == Pair(2, 0)
    assert single.read("GICC", ABPR) == Pair(3, 1)


def test_binary_point_minimum_of_the_virtual_interface(virtual: Both) -> None:
    """QEMU's GICV_ABPR goes below what its own GICH_VMCR takes."""
    virtual.write("GICC", ABPR, 0)
    assert virtual.read("GICC", ABPR) == Pair(3, 1)
    assert virtual.read("GICH", 0x08) == Pair(0xF84C0003, 0xF8440003)
    virtual.write("GICH", 0x08, 0xF8000003)
    assert virtual.read("GICH", 0x08) == Pair(0xF84C0003, 0xF84C0003)


def test_highest_under_pmr(virtual: Both) -> None:
    virtual.write("GICH", LR, lr(40, 0xA0))
    virtual.write("GICC", 0x04, 0xA0)
    assert virtual.read("GICC", HPPIR) == Pair(40, SPURIOUS)
    assert virtual.outputs == Pair(0, 0)
    assert virtual.read("GICC", IAR) == Pair(SPURIOUS, SPURIOUS)


def test_highest_source(single: Both) -> None:
    """QEMU's issue 4402: HPPIR names SGI 5 of CPU 3 as 5; IAR has it right."""
    single.write("GICD", 0xF25, 1 << 3, 1)
    assert single.read("GICC", HPPIR) == Pair(0xC05, 0x005)
    assert single.read("GICC", IAR) == Pair(0xC05, 0xC05)


def test_too_low_group_1(virtual: Both) -> None:
    virtual.write("GICH", LR, lr(40, 0x50))
    assert virtual.read("GICC", IAR) == Pair(40, 40)
    virtual.write("GICH", LR + 4, lr(41, 0xA0, group=1))
    assert virtual.read("GICC", IAR) == Pair(SPURIOUS, OTHER_GROUP)
    assert virtual.read("GICH", LR + 4) == Pair(lr(41, 0xA0, group=1), lr(41, 0xA0, group=1))


def test_disabled_group_hides_the_enabled_one(virtual: Both) -> None:
    virtual.write("GICC", 0x00, 1)
    virtual.write("GICH", LR, lr(40, 0x50, group=1))
    virtual.write("GICH", LR + 4, lr(41, 0xA0))
    assert virtual.outputs == Pair(1, 0)
    assert virtual.read("GICC", HPPIR) == Pair(41, OTHER_GROUP)


def test_disabled_group_is_acknowledged(virtual: Both) -> None:
    virtual.write("GICC", 0x00, 2)
    virtual.write("GICH", LR, lr(40, 0x50))
    assert virtual.outputs == Pair(0, 0)
    assert virtual.read("GICC", IAR) == Pair(SPURIOUS, 40)


def test_own_priority(virtual: Both) -> None:
    """0x88 runs; then the binary point rises to 3, by which 0x88 is of group priority 0x80."""
    virtual.write("GICH", LR, lr(40, 0x88))
    assert virtual.read("GICC", IAR) == Pair(40, 40)
    virtual.write("GICC", 0x08, 3)
    virtual.write("GICH", LR + 4, lr(41, 0x88))
    assert virtual.read("GICC", RPR) == Pair(0x88, 0x88)
    assert virtual.outputs == Pair(1, 0)
    assert virtual.read("GICC", IAR) == Pair(41, SPURIOUS)


def test_aliases(virtual: Both) -> None:
    virtual.write("GICH", LR, lr(40, 0x50, group=1))
    assert virtual.read("GICC", AHPPIR) == Pair(40, 0)
    assert virtual.read("GICC", AIAR) == Pair(40, 0)
    virtual.write("GICH", LR, lr(40, 0x50, ACTIVE, group=1))
    virtual.write("GICC", AEOIR, 40)
    assert virtual.read("GICH", LR) == Pair(lr(40, 0x50, 0, group=1), lr(40, 0x50, ACTIVE, group=1))


def test_width(single: Both) -> None:
    single.write("GICD", 0x105, 0xFF, 1)
    assert single.read("GICD", 0x104) == Pair(0, 0xFF00)
    single.write("GICD", 0x104, 0xFFFF, 2)
    assert single.read("GICD", 0x104, 2) == Pair(0, 0xFFFF)
    single.write("GICC", 0x04, 0x40, 1)
    assert single.read("GICC", 0x04) == Pair(0xF8, 0x40)


def test_list_register_reserved_bits(virtual: Both) -> None:
    virtual.write("GICH", LR, 0x0FFFFFFF)
    assert virtual.read("GICH", LR) == Pair(0x0F881FFF, 0x0F8FFFFF)


def test_list_register_beyond_the_last(virtual: Both) -> None:
    virtual.write("GICH", LR + 16, lr(40, 0xA0, 0))
    assert virtual.read("GICH", 0x04) == Pair(0x90000003, 0x90000003)
    assert virtual.read("GICH", LR + 16) == Pair(0, lr(40, 0xA0, 0))


def test_distributor_enable(single: Both) -> None:
    """Bit 0 forwards both groups in vgicd; QEMU has an enable for each."""
    enable_spi(single, 0xA0)
    single.write("GICD", 0x084, 1 << 8)
    single.write("GICD", 0x204, 1 << 8)
    assert single.outputs == Pair(1, 1)
    assert single.read("GICD", 0x000) == Pair(1, 3)
    single.write("GICD", 0x000, 1)
    assert single.outputs == Pair(1, 0)


def test_targets_of_one_cpu(single: Both) -> None:
    single.write("GICD", 0x820, 0xFFFFFFFF)
    assert single.read("GICD", 0x820) == Pair(0x01010101, 0)
    assert single.read("GICD", 0x800) == Pair(0x01010101, 0)


def test_targets_of_absent_cpus(quad: Both) -> None:
    quad.write("GICD", 0x820, 0xFFFFFFFF)
    assert quad.read("GICD", 0x820) == Pair(0x0F0F0F0F, 0xFFFFFFFF)


def test_targets_several_and_none(quad: Both) -> None:
    """1-N: Xen signals the lowest-numbered target, QEMU all; an edge without a target is latched, or lost."""
    enable_spi(quad, 0xA0)
    quad.write("GICD", 0x800 + SPI, 0b0110, 1)
    quad.line(SPI, 1)
    assert quad.outputs == Pair(0b000100, 0b010100)
    assert quad.read("GICC", IAR, cpu=1) == Pair(SPI, SPI)
    quad.write("GICC", EOIR, SPI, cpu=1)
    quad.line(SPI, 0)
    quad.write("GICD", 0x800 + SPI, 0, 1)
    quad.write("GICD", 0x284, 1 << 8)
    quad.line(SPI, 1)
    assert quad.read("GICD", 0x204) == Pair(1 << 8, 0)


def test_trigger(single: Both) -> None:
    assert single.read("GICD", 0xC08) == Pair(0xAAAAAAAA, 0)
    single.write("GICD", 0xC04, 0xFFFFFFFF)
    assert single.read("GICD", 0xC04) == Pair(0, 0xAAAAAAAA)


def test_trigger_under_high_line(single: Both) -> None:
    """A line that rose while edge-triggered, made level-triggered: QEMU knows that it is high."""
    single.write("GICD", 0xC08, 0xAAAAAAAA)
    single.line(SPI, 1)
    single.write("GICD", 0x284, 1 << 8)
    single.write("GICD", 0xC08, 0)
    assert single.read("GICD", 0x204) == Pair(0, 1 << 8)
    single.line(SPI, 0)
    single.line(SPI, 1)
    assert single.read("GICD", 0x204) == Pair(1 << 8, 1 << 8)


def test_sgi_enable(single: Both) -> None:
    single.write("GICD", 0x180, 0x0000FFFF)
    assert single.read("GICD", 0x100) == Pair(0, 0x0000FFFF)


def test_sgi_without_source(single: Both) -> None:
    """A read of IAR would end this QEMU now."""
    single.write("GICD", 0xF24, 0, 4)
    assert single.read("GICD", 0x200) == Pair(0, 0x00F0)
    assert single.read("GICD", 0xF24) == Pair(0, 0)
    assert single.outputs == Pair(0, 1)


def test_sgir_reserved_filter(single: Both) -> None:
    """XSA-117's value: no effect, against SGI 5 made pending."""
    single.write("GICD", 0xF00, 0x03FF0005)
    assert single.read("GICD", 0x200) == Pair(0, 1 << 5)


def test_active_priorities(single: Both) -> None:
    """Priority 0xA0 is bit 20 of 32 here and bit 80 of 128 there; group 1's are in other registers."""
    enable_spi(single, 0xA0)
    single.write("GICD", 0x204, 1 << 8)
    assert single.read("GICC", IAR) == Pair(SPI, SPI)
    assert single.read("GICC", 0xD0) == Pair(1 << 20, 0)
    assert single.read("GICC", 0xD8) == Pair(0, 1 << 16)
    single.write("GICC", EOIR, SPI)
    single.write("GICD", 0x084, 1 << 8)
    single.write("GICD", 0x204, 1 << 8)
    assert single.read("GICC", IAR) == Pair(SPI, SPI)
    assert single.read("GICC", 0xD8) == Pair(0, 0)
    assert single.read("GICC", 0xE8) == Pair(0, 1 << 16)


def test_active_priorities_dropped_by_group(single: Both) -> None:
    """SGI 1 of group 1 runs below SGI 0 of group 0; the EOI of SGI 1 comes first."""
    single.write("GICD", 0x080, 1 << 1)
    single.write("GICD", 0x400, 0x0000A040)
    single.write("GICD", 0xF00, 0x02000001)
    assert single.read("GICC", IAR) == Pair(1, 1)
    single.write("GICD", 0xF00, 0x02000000)
    assert single.read("GICC", IAR) == Pair(0, 0)
    assert single.read("GICC", RPR) == Pair(0x40, 0x40)
    single.write("GICC", EOIR, 1)
    assert single.read("GICC", RPR) == Pair(0xA0, 0x40)


def test_active_priorities_and_odd_ends(single: Both) -> None:
    """With nothing running QEMU ignores an EOI; with something running, one of an INTID that it does not have."""
    enable_spi(single, 0xA0)
    single.write("GICD", 0x300, 1 << 16)
    single.write("GICC", EOIR, 16)
    assert single.read("GICD", 0x300) == Pair(0, 1 << 16)
    single.write("GICD", 0x204, 1 << 8)
    assert single.read("GICC", IAR) == Pair(SPI, SPI)
    single.write("GICC", EOIR, 1000)
    assert single.read("GICC", RPR) == Pair(0xFF, 0xA0)


def test_active_spi(single: Both) -> None:
    """ISACTIVER makes it active on all of QEMU's eight CPUs, EOI inactive on one."""
    enable_spi(single, 0xA0)
    single.write("GICD", 0x204, 1 << 8)
    assert single.read("GICC", IAR) == Pair(SPI, SPI)
    single.write("GICD", 0x304, 1 << 8)
    single.write("GICC", EOIR, SPI)
    assert single.read("GICD", 0x304) == Pair(0, 1 << 8)


def test_active_spi_deactivated_elsewhere(quad: Both) -> None:
    """EOImode 1: CPU 1 deactivates what CPU 0 acknowledged."""
    enable_spi(quad, 0xA0)
    quad.write("GICD", 0x800 + SPI, 1, 1)
    for cpu in (0, 1):
        quad.write("GICC", 0x00, 0x207, cpu=cpu)
    quad.line(SPI, 1)
    assert quad.read("GICC", IAR) == Pair(SPI, SPI)
    quad.write("GICC", EOIR, SPI)
    quad.write("GICC", DIR, SPI, cpu=1)
    assert quad.read("GICD", 0x304) == Pair(0, 1 << 8)


def test_pending_per_cpu_of_a_moved_spi(quad: Both) -> None:
    enable_spi(quad, 0xA0)
    quad.write("GICD", 0x800 + SPI, 1, 1)
    quad.line(SPI, 1)
    assert quad.outputs == Pair(0b0001, 0b0001)
    quad.write("GICD", 0x800 + SPI, 2, 1)
    assert quad.outputs == Pair(0b0100, 0)


def test_pending_per_cpu_of_a_ppi(quad: Both) -> None:
    quad.write("GICD", 0x100, 1 << 20, cpu=2)
    quad.write("GICD", 0x200, 1 << 20, cpu=2)
    assert quad.read("GICD", 0x200, cpu=2) == Pair(1 << 20, 0)
    assert quad.outputs == Pair(1 << 4, 0)
