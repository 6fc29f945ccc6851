"""What variant xen does differently, for people: the texts beside the code that does it (`vgicd.vgic.variants`)."""

from __future__ import annotations

import inspect
from types import FunctionType
from typing import Final, NamedTuple

from vgicd.vgic.distributor import GICD
from vgicd.vgic.variants import DEFECTS, XEN_GICD, XenBaseline

CHOICES: Final = {
    "aborts": "Accesses to reserved places, of odd widths and to interrupts that the domain lacks abort.",
    "folds_all": "An access to a live register does not consult other vCPUs' list registers (F17).",
}
"""The plain settings of `XenBaseline`, which have no docstring to say it."""


class Catalogue(NamedTuple):
    """The defects by their numbers, each of which can be switched off, and what stays, by the step that differs."""

    defects: dict[str, str]
    baseline: dict[str, str]


def catalogue() -> Catalogue:
    """Everything in which variant xen differs from variant correct."""
    defects = {name: _sentences(cls) for name, cls in DEFECTS.items()}
    registers = {row.name: row.doc for row in XEN_GICD.rows if row.doc not in {own.doc for own in GICD.rows}}
    steps = {
        name: _sentences(step)
        for name, step in vars(XenBaseline).items()
        if isinstance(step, FunctionType) and step.__doc__
    }
    return Catalogue(defects, CHOICES | registers | steps)


def _sentences(documented: object) -> str:
    return " ".join((inspect.getdoc(documented) or "").split())


def text(found: Catalogue) -> str:
    """`found` for a terminal."""
    return "\n".join(
        (
            "Defects, each of which --xen-without switches off:",
            *_listing(found.defects),
            "",
            "Always part of variant xen, by the step or register that differs:",
            *_listing(found.baseline),
        )
    )


def _listing(entries: dict[str, str]) -> list[str]:
    width = max(map(len, entries))
    return [f"  {name:<{width}}  {about}" for name, about in entries.items()]
