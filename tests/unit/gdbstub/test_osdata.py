"""`info os`: documents as gdb parses them."""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree import ElementTree

import pytest

from tests.unit.gdbstub.local import GICC, GICD, LocalTarget, bring_up, snapshot, take
from vgicd.domain import operations as op
from vgicd.domain.config import DomainConfig
from vgicd.domain.domain import Domain
from vgicd.gdbstub.osdata import TABLES, document
from vgicd.gdbstub.target import ClientInfo

HOSTILE = "a<b>&\"'\x00\x1b[31m\ud800\uffff]]>"


class Crowd(LocalTarget):
    """A target with two clients, one of whom has an unfriendly name."""

    def clients(self) -> Sequence[ClientInfo]:
        return (
            ClientInfo("7", HOSTILE, "guest", "unix", 12, 0, "held"),
            ClientInfo("gdb#1", "uid 0", "control", "unix", 3, 1, "stopped"),
        )


@pytest.fixture
def target() -> Crowd:
    domain = Domain(DomainConfig(vcpus=2, spis=32))
    bring_up(domain)
    take(domain, 27, 0x40)
    domain.apply(op.Line(33, 1))
    domain.apply(op.Read(0, GICD, 0x2, 2))
    return Crowd(domain, names={33: "uart0"})


def rows(text: str) -> list[dict[str, str]]:
    """The items of a document, by column name."""
    root = ElementTree.fromstring(text)
    assert root.tag == "osdata"
    return [{column.get("name", ""): column.text or "" for column in item} for item in root]


def test_the_empty_annex_lists_the_tables(target: Crowd) -> None:
    found = rows(document(target, ""))
    assert [row["Type"] for row in found] == ["irqs", "lrs", "vcpus", "clients", "stats"] == list(TABLES)
    assert all(set(row) == {"Type", "Description", "Title"} and all(row.values()) for row in found)


@pytest.mark.parametrize("annex", TABLES)
def test_every_row_of_a_table_has_all_its_columns(target: Crowd, annex: str) -> None:
    found = rows(document(target, annex))
    assert found
    assert all(tuple(row) == tuple(TABLES[annex].columns) for row in found)


@pytest.mark.parametrize("annex", ["processes", "x" * 1000, HOSTILE])
def test_an_unknown_table_is_empty(target: Crowd, annex: str) -> None:
    assert rows(document(target, annex).encode("utf-8", "replace").decode()) == []


@pytest.mark.parametrize("annex", ["", *TABLES])
def test_looking_changes_nothing(target: Crowd, annex: str) -> None:
    order, before = target.domain.order, snapshot(target.domain)
    document(target, annex)
    assert (target.domain.order, snapshot(target.domain)) == (order, before)
    assert not target.applied


def test_names_that_xml_cannot_hold_do_no_harm(target: Crowd) -> None:
    text = document(target, "clients")
    text.encode("utf-8")
    found = rows(text)
    assert found[0]["peer"] == "a<b>&\"'??[31m??]]>"
    assert found[1] == {
        "number": "gdb#1", "peer": "uid 0", "role": "control", "transport": "unix", "requests": "3", "waits": "1",
        "state": "stopped",
    }  # fmt: skip


def test_irqs_are_every_vcpus_private_ones_and_the_spis(target: Crowd) -> None:
    found = rows(document(target, "irqs"))
    assert len(found) == 2 * 32 + 32
    timer = next(row for row in found if row["irq"] == "27" and row["vcpu"] == "0")
    assert (timer["act"], timer["line"], timer["prio"], timer["lr"], timer["name"]) == (
        "yes", "high", "0x40", "0", "irq27_vtimer",
    )  # fmt: skip
    assert next(row for row in found if row["irq"] == "33")["name"] == "irq33_uart0"


def test_list_registers_are_in_fields(target: Crowd) -> None:
    found = rows(document(target, "lrs"))
    assert [(row["vcpu"], row["lr"]) for row in found] == [(str(v), str(n)) for v in range(2) for n in range(4)]
    assert found[0]["irq"] == "27"
    assert (found[0]["state"], found[0]["hw"], found[0]["eoi"], found[0]["elrsr"]) == ("active", "", "1", "no")
    assert (found[1]["state"], found[1]["elrsr"], found[1]["holds"]) == ("invalid", "yes", "free")


def test_vcpus_show_running_priority_and_interface(target: Crowd) -> None:
    first, second = rows(document(target, "vcpus"))
    assert (first["rpr"], first["active, innermost first"], second["rpr"]) == ("0x40", "irq27_vtimer", "0xff")
    word = target.domain.apply(op.LrGet(0)).value
    assert (first["hcr"], first["vmcr"]) == (f"{word.hcr:#010x}", f"{word.vmcr:#010x}")


def test_stats_are_the_domains(target: Crowd) -> None:
    found = {row["name"]: row["count"] for row in rows(document(target, "stats"))}
    assert found["fault.width.GICD_CTLR"] == "1"
    assert found["operations"] == str(target.domain.order)


def test_reading_a_table_does_not_acknowledge(target: Crowd) -> None:
    target.domain.apply(op.Write(1, GICD, 0xF00, 4, 2 << 24 | 2))
    for annex in TABLES:
        document(target, annex)
    assert target.domain.apply(op.Read(1, GICC, 0xC, 4)).value == 2 | 1 << 10
