"""The documents in which gdb reads what the target is."""

from __future__ import annotations

from itertools import pairwise
from xml.etree import ElementTree as ET

import pytest

from tests.unit.gdbstub.local import LocalTarget, bring_up
from vgicd.domain import operations as op
from vgicd.domain.config import DomainConfig
from vgicd.domain.domain import Domain
from vgicd.gdbstub import registers, target_xml
from vgicd.gdbstub.arch import ARCHES
from vgicd.hw.list_register import HARDWARE, SOFTWARE
from vgicd.registers import Field

KNOWN = {
    *("int", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
    *("code_ptr", "data_ptr", "i387_ext"),
}
"""Types that gdb knows by themselves (gdb manual, "Predefined Target Types"; "int" is one of its guesses)."""


def description(arch: str = "x86-64", **config: int) -> ET.Element:
    return ET.fromstring(target_xml.target_description(LocalTarget(Domain(DomainConfig(**config)), arch=arch)))


def features(root: ET.Element) -> dict[str, ET.Element]:
    return {feature.attrib["name"]: feature for feature in root.iter("feature")}


@pytest.mark.parametrize("arch", ARCHES)
def test_the_core_feature_is_complete_and_in_gdbs_order(arch: str) -> None:
    root = description(arch)
    assert root.findtext("architecture") == ARCHES[arch].gdb_name
    names = list(features(root))
    assert names == [ARCHES[arch].features[0][0], "org.vgicd.gicc", "org.vgicd.gich", "org.vgicd.domain"]
    number = 0
    for register in root.iter("reg"):
        number = int(register.attrib.get("regnum", number))
        if number < registers.FIRST:
            core = next(core for core in ARCHES[arch].registers if core.number == number)
            assert (register.attrib["name"], register.attrib["bitsize"]) == (core.name, str(core.bits))
        number += 1
    assert {"x86-64": 40, "aarch64": 34, "arm": 17}[arch] == len(list(ARCHES[arch].registers))


@pytest.mark.parametrize("arch", ARCHES)
@pytest.mark.parametrize("lrs", [1, 4, 64])
def test_the_registers_are_those_that_p_reads(arch: str, lrs: int) -> None:
    target = LocalTarget(Domain(DomainConfig(lrs=lrs)), arch=arch)
    root = ET.fromstring(target_xml.target_description(target))
    listed = [reg for reg in root.iter("reg") if int(reg.attrib.get("regnum", 0)) >= registers.FIRST]
    assert len(listed) == len(registers.registers_of(target))
    for register in listed:
        data = registers.read(target, 0, int(register.attrib["regnum"]), 0)
        assert len(data) * 8 == int(register.attrib["bitsize"])
        assert register.attrib["save-restore"] == "no"
        assert register.attrib["group"] == "vgic"


@pytest.mark.parametrize("arch", ARCHES)
def test_every_type_is_defined_once_and_before_its_use(arch: str) -> None:
    for feature in features(description(arch)).values():
        defined: set[str] = set()
        for element in feature:
            if element.tag == "reg":
                assert element.attrib["type"] in defined | KNOWN
                continue
            assert element.attrib["id"] not in defined
            for field in element.iter("field"):
                assert field.attrib.get("type") in defined | {None}
            defined.add(element.attrib["id"])


def fields_of(feature: ET.Element, kind: str) -> dict[str, tuple[int, int]]:
    flags = next(element for element in feature.iter("flags") if element.attrib["id"] == kind)
    return {
        field.attrib["name"]: (int(field.attrib["start"]), int(field.attrib["end"])) for field in flags.iter("field")
    }


def bits_of(fields: tuple[Field, ...]) -> list[tuple[int, int]]:
    return sorted((field.lsb, field.lsb + field.width - 1) for field in fields)


@pytest.mark.parametrize("lrs", [1, 64])
def test_the_fields_are_those_of_the_rows(lrs: int) -> None:
    root = description(lrs=lrs)
    types = {reg.attrib["name"]: reg.attrib["type"] for reg in root.iter("reg")}
    for register in registers.vendor_registers(lrs):
        layout = register.layout
        if layout is None:
            assert types[register.name] == f"uint{register.bits}" or register.name == "irq_line"
            continue
        fields = fields_of(features(root)[register.feature], types[register.name])
        assert sorted(fields.values()) == bits_of(target_xml.shown_fields(layout))
        if layout is not HARDWARE:
            assert set(fields) == {field.name for field in layout.fields}


def test_a_list_register_is_shown_in_the_words_of_its_trade() -> None:
    gich = features(description())["org.vgicd.gich"]
    assert list(fields_of(gich, "gich_lr")) == ["virq", "pirq", "EOI", "prio", "state", "GRP1", "HW"]
    (enum,) = gich.iter("enum")
    values = {int(value.attrib["value"]): value.attrib["name"] for value in enum.iter("evalue")}
    assert values == {0: "INVALID", 1: "PENDING", 2: "ACTIVE", 3: "PENDING_AND_ACTIVE"}
    assert set(values) == set(HARDWARE["State"].values) == set(SOFTWARE["State"].values)


def test_the_line_is_one_of_four_words() -> None:
    (enum,) = features(description())["org.vgicd.domain"].iter("enum")
    assert [value.attrib["name"] for value in enum.iter("evalue")] == ["low", "irq", "fiq", "both"]


def test_the_description_is_the_same_every_time() -> None:
    assert target_xml.target_description(LocalTarget()) == target_xml.target_description(LocalTarget())
    assert target_xml.target_description(LocalTarget()).startswith('<?xml version="1.0"?>\n<!DOCTYPE target SYSTEM ')


@pytest.mark.parametrize("arch", ARCHES)
@pytest.mark.parametrize("profile", ["virt", "xen-guest", "trace"])
@pytest.mark.parametrize("vcpus", [1, 8])
def test_the_memory_map_lists_everything_once(arch: str, profile: str, vcpus: int) -> None:
    """gdb refuses what is outside without asking (pyOCD 960, Renode 434)."""
    target = LocalTarget(Domain(DomainConfig(vcpus=vcpus, profile=profile)), arch=arch)
    layout = target.layout
    areas = [
        (int(area.attrib["start"], 16), int(area.attrib["length"], 16))
        for area in ET.fromstring(target_xml.memory_map(layout)).iter("memory")
    ]
    assert all(base + size < following for (base, size), (following, _) in pairwise(areas))
    assert all(size > 0 and base + size <= 1 << 8 * target.arch.word for base, size in areas)
    wanted = [(window.base, window.size) for window in layout.windows]
    wanted += [layout.code, (layout.irq_base, layout.irq_size), *map(layout.stack, range(vcpus))]
    for base, size in wanted:
        assert any(start <= base and base + size <= start + length for start, length in areas)
    assert sum(length for _, length in areas) == sum(size for _, size in wanted)


def test_threads_are_vcpus_with_their_state() -> None:
    target = LocalTarget()
    bring_up(target.domain)
    target.domain.apply(op.Line(27, 1, 1))
    target.domain.apply(op.VcpuMove(1, 5))
    root = ET.fromstring(target_xml.threads(target))
    found = [(thread.attrib["id"], thread.attrib["core"], thread.attrib["name"], thread.text) for thread in root]
    assert found == [
        ("p1.1", "0", "vcpu0", "irq=low lr=0/4 hppi=none"),
        ("p1.2", "5", "vcpu1", "irq=HIGH lr=1/4 hppi=27"),
    ]
    assert [thread.attrib["id"] for thread in ET.fromstring(target_xml.threads(target, multiprocess=False))] == [
        "1",
        "2",
    ]


def test_what_a_line_of_state_says_is_escaped() -> None:
    class Loud(LocalTarget):
        def line_of(self, vcpu: int) -> str:
            return "a<b & \"c\" > 'd'"

    (first, _) = ET.fromstring(target_xml.threads(Loud()))
    assert first.text == "a<b & \"c\" > 'd'"
