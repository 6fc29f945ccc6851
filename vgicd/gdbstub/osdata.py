"""`info os`: tables that stock gdb shows (gdb manual, "Operating System Information", qXfer:osdata:read).

A document is an `osdata` element with an `item` per row and a `column` per cell.  The table of tables has the empty
annex; gdb prints its columns Type, Description and Title.  Looking changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple
from xml.sax.saxutils import escape, quoteattr

from vgicd.domain import operations as op
from vgicd.gdbstub import text
from vgicd.gdbstub.monitor import irqs, state
from vgicd.gdbstub.target import ClientInfo, Target
from vgicd.registers import Layout

_DOCTYPE: Final = '<?xml version="1.0"?>\n<!DOCTYPE osdata SYSTEM "osdata.dtd">\n'


class Table(NamedTuple):
    """A table of `info os`: what gdb says of it, its columns, and what makes its rows."""

    title: str
    description: str
    columns: Sequence[str]
    rows: Callable[[Target], Iterable[Sequence[Any]]]


def document(target: Target, annex: str) -> str:
    """The table that `annex` names as an osdata document; "" lists the tables, and an unknown one has no rows."""
    if not annex:
        found: Iterable[Sequence[Any]] = ((name, row.description, row.title) for name, row in TABLES.items())
        return _document("types", ("Type", "Description", "Title"), found)
    table = TABLES.get(annex)
    return _document(annex, table.columns, table.rows(target)) if table is not None else _document(annex, (), ())


def _document(kind: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    return f"{_DOCTYPE}<osdata type={quoteattr(_clean(kind))}>\n{''.join(map(_item(columns), rows))}</osdata>\n"


def _item(columns: Sequence[str]) -> Callable[[Sequence[Any]], str]:
    def item(row: Sequence[Any]) -> str:
        cells = (
            f"<column name={quoteattr(name)}>{escape(_clean(text.cell(value)))}</column>"
            for name, value in zip(columns, row, strict=True)
        )
        return f"<item>{''.join(cells)}</item>\n"

    return item


def _clean(value: str) -> str:
    """Without what XML 1.0 cannot hold: a client's name may have anything in it."""
    return "".join(char if char in "\t\n\r" or char.isprintable() else "?" for char in value)


# --- the tables -------------------------------------------------------------------------------------------------


def _irqs(target: Target) -> Iterator[Sequence[Any]]:
    for found in irqs.states(target):
        yield (*irqs.row(found), text.irq_name(found.intid, target.names))


def _lrs(target: Target) -> Iterator[Sequence[Any]]:
    for vcpu in range(target.vcpus):
        held: op.LrState = target.ask(op.LrGet(vcpu))
        for index, word in enumerate(held.lrs):
            yield (
                vcpu,
                index,
                f"{word:#010x}",
                *_fields(word),
                bool(held.eisr >> index & 1),
                bool(held.elrsr >> index & 1),
                text.list_register(word, target.names),
            )


def _fields(word: int) -> tuple[Any, ...]:
    layout: Layout = text.layout_of(word)
    fields = layout.decode(word)
    return (
        fields["VirtualID"],
        layout["State"].values[fields["State"]],
        f"{fields['Priority'] << 3:#04x}",
        fields["Grp1"],
        fields.get("PhysicalID"),
        fields.get("CPUID"),
        fields.get("EOI"),
    )


def _vcpus(target: Target) -> Iterator[Sequence[Any]]:
    for vcpu in range(target.vcpus):
        held: op.LrState = target.ask(op.LrGet(vcpu))
        yield (*state.vcpu_row(target, vcpu), f"{held.hcr:#010x}", f"{held.vmcr:#010x}", f"{held.misr:#04x}")


def _clients(target: Target) -> Iterable[Sequence[Any]]:
    return target.clients()


def _stats(target: Target) -> Iterator[Sequence[Any]]:
    stats: dict[str, int] = target.ask(op.Stats())
    yield from stats.items()


TABLES: Final = {
    "irqs": Table("Interrupts", "Every interrupt of every vCPU", (*irqs.COLUMNS, "name"), _irqs),
    "lrs": Table(
        "List registers",
        "The list registers of every vCPU, in fields",
        ("vcpu", "lr", "word", "irq", "state", "prio", "group", "hw", "cpu", "eoi", "eisr", "elrsr", "holds"),
        _lrs,
    ),
    "vcpus": Table(
        "vCPUs", "Every vCPU and its virtual interface", (*state.VCPU_COLUMNS, "hcr", "vmcr", "misr"), _vcpus
    ),
    "clients": Table("Clients", "Who is connected, debuggers included", ClientInfo._fields, _clients),
    "stats": Table("Figures", "Operations, and guest faults by kind and register", ("name", "count"), _stats),
}
"""By annex, as `info os ANNEX` names them."""
