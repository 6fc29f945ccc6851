"""Where the guest's view of the CPU interface begins on a host that aliases its pages (spec 6.8)."""

from __future__ import annotations

import pytest

from vgicd.domain import operations as op
from vgicd.domain.address_map import alias_offset
from vgicd.domain.config import DomainConfig
from vgicd.domain.domain import Domain
from vgicd.domain.errors import Code, RequestError

GIC400, OTHER = 0x0202143B, 0x0102143B
GICC_BASE = 0x2C020000


def domain(layout: str, gicc_size: int, base: int | None = GICC_BASE) -> Domain:
    return Domain(DomainConfig(layout=layout, gicc_size=gicc_size, gicd_base=0x2C010000, gicc_base=base))


def deactivates_at(guest: Domain, base: int, ctlr: int, dir_: int) -> bool:
    """Does a write to base + `dir_` deactivate what is active, with GICC_CTLR written at base + `ctlr`?"""

    def gicc(offset: int, value: int) -> op.Write:
        return op.Write(0, op.Space.PHYSICAL, base + offset, 4, value)

    for offset, value in ((0x000, 1), (0x820, 1), (0x104, 1)):
        guest.apply(op.Write(0, op.Space.GICD, offset, 4, value))
    guest.apply(gicc(ctlr, 0x201))
    guest.apply(gicc(ctlr + 4, 0xF8))
    guest.apply(op.Line(32, 1))
    assert guest.apply(op.Read(0, op.Space.PHYSICAL, base + ctlr + 0xC, 4)).value == 32
    guest.apply(gicc(ctlr + 0x10, 32))
    guest.apply(gicc(dir_, 32))
    return not guest.apply(op.IrqInfo(32)).value.active


@pytest.mark.parametrize(
    ("size", "first", "last", "offset"),
    [
        (0x20000, GIC400, GIC400, 0xF000),
        (0x20000, GIC400 ^ 0xF0001000, GIC400, 0xF000),  # variant bits outside the mask
        (0x20000, GIC400, OTHER, 0),
        (0x20000, OTHER, OTHER, 0),
        (0x2000, GIC400, GIC400, 0),
    ],
)
def test_the_alias_offset_is_that_of_a_gic_400_only(size: int, first: int, last: int, offset: int) -> None:
    assert alias_offset(size, first, last) == offset


@pytest.mark.parametrize("layout", ["ordinary", "direct"])
@pytest.mark.parametrize("gicc_size", [0x2000, 0x20000])
def test_a_guest_finds_dir_in_its_second_page(layout: str, gicc_size: int) -> None:
    assert deactivates_at(domain(layout, gicc_size), GICC_BASE, 0x0000, 0x1000)


def test_the_hardware_domain_sees_each_page_sixteen_times() -> None:
    assert deactivates_at(domain("hardware", 0x20000), GICC_BASE, 0x0000, 0x10000)
    assert deactivates_at(domain("hardware", 0x20000), GICC_BASE, 0xF000, 0x1F000)
    assert not deactivates_at(domain("hardware", 0x20000), GICC_BASE, 0x0000, 0x1000)


def test_a_larger_cpu_interface_without_aliases_ends_after_its_registers() -> None:
    """What lies behind them answers as any unmapped address (spec 5.1)."""
    guest = domain("hardware", 0x10000)
    assert deactivates_at(guest, GICC_BASE, 0x0000, 0x1000)
    assert guest.apply(op.Read(0, op.Space.PHYSICAL, GICC_BASE + 0x2000, 4)).value == 0xFFFFFFFF


def test_the_profile_has_no_host_behind_it() -> None:
    assert deactivates_at(domain("profile", 0x20000), GICC_BASE, 0x0000, 0x1000)


def test_a_cpu_interface_has_two_pages() -> None:
    with pytest.raises(RequestError) as refused:
        domain("hardware", 0x1000)
    assert (refused.value.code, refused.value.field) == (Code.BAD_CONFIG, "gicc_size")
