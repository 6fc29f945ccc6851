"""Words are decoded as the architecture lays them out, held against the daemon's own declarations."""

from __future__ import annotations

import json
from importlib.resources import files

import pytest

from vgicd.export.description import text
from vgicd.hw import gich
from vgicd.hw.list_register import HARDWARE, SOFTWARE
from vgicd_client import decode, regs


def test_the_register_description_is_fresh() -> None:
    """`python -m vgicd.export.description clients/vgicd_client/registers.json` mends this."""
    assert files("vgicd_client").joinpath("registers.json").read_text("utf-8") == text()


def test_a_software_list_register() -> None:
    word = SOFTWARE.encode(VirtualID=3, State=3, Priority=0x14, CPUID=5, EOI=1, Grp1=1)
    assert decode.list_register(word) == (3, "pending+active", 0xA0, 1, False, -1, 5, True)
    assert str(decode.list_register(word)) == "3 pending+active prio 0xa0 group 1 from cpu 5 eoi"


def test_a_hardware_list_register_has_neither_source_nor_eoi_request() -> None:
    word = HARDWARE.encode(HW=1, VirtualID=41, State=1, Priority=12, PhysicalID=0x3FF)
    assert decode.list_register(word) == (41, "pending", 0x60, 0, True, 0x3FF, 0, False)
    assert str(decode.list_register(word)) == "41 pending prio 0x60 hw 1023"


def test_an_empty_list_register() -> None:
    assert str(decode.list_register(0)) == "invalid"
    assert str(decode.list_register(41)) == "41 invalid prio 0x00", "an INTID that stayed behind is shown"


@pytest.mark.parametrize(("names", "layout"), [(decode.HCR_BITS, gich.HCR), (decode.MISR_BITS, gich.MISR)])
def test_status_bits_have_the_names_of_the_declaration(names: tuple[str, ...], layout: object) -> None:
    assert isinstance(layout, type(gich.HCR))
    assert [layout[name].lsb for name in names] == list(range(8))


def test_hcr_shows_the_count_of_lost_eois() -> None:
    assert decode.hcr(gich.HCR.encode(En=1, UIE=1, EOICount=3)) == "En UIE EOICount=3"
    assert decode.hcr(0) == "none"


@pytest.mark.parametrize(
    ("word", "text"), [(1023, "1023 (none)"), (3 | 5 << 10, "3 from cpu 5"), (3, "3 from cpu 0"), (41, "41")]
)
def test_an_acknowledgement(word: int, text: str) -> None:
    assert decode.acknowledgement(word) == text


def test_outputs_name_line_and_vcpu() -> None:
    assert decode.outputs(0b1001) == "irq0 fiq1"
    assert decode.outputs(0) == "none"


@pytest.mark.parametrize(
    ("offset", "name"),
    [(0x000, "GICD_CTLR"), (0x108, "GICD_ISENABLER2"), (0x403, "GICD_IPRIORITYR0"), (0x00C, "reserved")],
)
def test_offsets_have_names(offset: int, name: str) -> None:
    assert regs.locate("GICD", offset) == name


@pytest.mark.parametrize(
    ("frame", "name", "offset"),
    [
        ("GICD", "gicd_isenabler1", 0x104),
        ("GICD", "ITARGETSR", 0x800),
        ("GICC", "IAR", 0x00C),
        ("GICH", "LR3", 0x10C),
        ("GICD", "CTLR0", None),
        ("GICD", "ISENABLER32", None),
        ("GICD", "NOSUCH", None),
    ],
)
def test_names_have_offsets(frame: str, name: str, offset: int | None) -> None:
    assert regs.frames()[frame].named(name) == offset


@pytest.mark.parametrize(
    ("frame", "offset", "value", "size", "text"),
    [
        ("GICD", 0x104, 0x8000_000F, 4, "GICD_ISENABLER1 0x8000000f: irqs 32-35 63"),
        ("GICD", 0x429, 0x60, 1, "GICD_IPRIORITYR10 0x60: 41=0x60"),
        ("GICD", 0xC08, 0x2, 4, "GICD_ICFGR2 0x2: 32=2"),
        ("GICD", 0x100, 0, 4, "GICD_ISENABLER0 0x0"),
        ("GICH", 0x100, 0x1000_0028, 4, "GICH_LR0 0x10000028: 40 pending prio 0x00"),
    ],
)
def test_values_are_put_into_words(frame: str, offset: int, value: int, size: int, text: str) -> None:
    assert regs.describe(frame, offset, value, size) == [text]


def test_reserved_places_have_no_description() -> None:
    assert regs.describe("GICD", 0x00C, 1) == []


def test_an_array_has_the_words_that_the_domain_implements() -> None:
    gicd, gich_ = regs.frames()["GICD"], regs.frames()["GICH"]
    enable, lr = gicd.at(0x100), gich_.at(0x100)
    assert enable is not None
    assert lr is not None
    assert list(enable.words(nr_irqs=96, nr_lrs=4)) == [0x100, 0x104, 0x108]
    assert list(lr.words(nr_irqs=96, nr_lrs=4)) == [0x100, 0x104, 0x108, 0x10C]


def test_the_description_is_json_with_unique_names() -> None:
    frames = json.loads(text())["frames"]
    names = [row["name"] for frame in frames.values() for row in frame["registers"]]
    assert len(names) == len(set(names))
