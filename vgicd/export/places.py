"""Which registers a domain has, and where its address space shows them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from vgicd.domain.address_map import ALIAS_SPAN, ALIASED_SIZE, PAGE
from vgicd.domain.operations import Space
from vgicd.gdbstub.layout import AddressSpace, Window
from vgicd.hw.gich import GICH
from vgicd.hw.gicv import GICC
from vgicd.hw.list_register import SOFTWARE
from vgicd.registers import Frame, Register
from vgicd.vgic.distributor import GICD

FRAMES: Final[Mapping[int, Frame]] = {Space.GICD: GICD, Space.GICC: GICC, Space.GICH: GICH}


class Word(NamedTuple):
    """A register word: its row, its offset in the frame, and its distance from the window's base."""

    row: Register
    offset: int
    distance: int


def own_windows(layout: AddressSpace) -> Iterator[tuple[Window, Frame]]:
    """The windows that are the guest's own places rather than aliases of them, with what they show."""
    for window in layout.windows:
        if window.space in FRAMES and window.vcpu is None and not window.live:
            yield window, FRAMES[window.space]


def is_list_register(row: Register) -> bool:
    """Are the row's words list registers?"""
    return row.fields is SOFTWARE


def existing(row: Register, nr_irqs: int, lrs: int) -> int:
    """How many of the row's bytes exist with that many interrupts and list registers."""
    if row.bits:
        return min(row.length, nr_irqs * row.bits // 8)
    return 4 * lrs if is_list_register(row) else row.length


def page_distance(window: Window) -> int:
    """How far apart the frame's 4 KiB pages are: a GIC-400's whole CPU interface repeats each over 64 KiB."""
    return ALIAS_SPAN if window.space == Space.GICC and window.size == ALIASED_SIZE else PAGE


def seen_at(offset: int, pages: int) -> int:
    """Where a window whose pages are `pages` bytes apart shows the frame's `offset`."""
    return offset // PAGE * pages + offset % PAGE


def words(window: Window, nr_irqs: int, lrs: int) -> Iterator[Word]:
    """The register words that exist with that many interrupts and list registers."""
    pages = page_distance(window)
    for row in FRAMES[window.space].rows:
        for offset in range(row.offset, row.offset + existing(row, nr_irqs, lrs), 4):
            yield Word(row, offset, seen_at(offset, pages))


def enumerator(meaning: str) -> str:
    """The name in expressions of a field's value: "pending and active" is PENDING_AND_ACTIVE."""
    return meaning.upper().replace(" ", "_")
