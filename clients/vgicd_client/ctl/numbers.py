"""Numbers and places as people write them on a command line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import click
from click.shell_completion import CompletionItem

from vgicd_client import regs
from vgicd_protocol.frames import Space

if TYPE_CHECKING:
    _ParamType = click.ParamType[Any]
else:
    _ParamType = click.ParamType  # generic for type checkers only, in the older releases


class Number(_ParamType):
    """A whole number, 0 or more, decimal or with a prefix such as 0x."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        try:
            number = int(value, 0)
        except ValueError:
            self.fail(f"{value!r} is not a number; write 40 or 0x28", param, ctx)
        if number < 0:
            self.fail(f"{value} is below 0", param, ctx)
        return number


class Place(NamedTuple):
    """An offset in an address space; `text` is how it was written."""

    space: Space
    offset: int
    text: str

    @property
    def frame(self) -> str | None:
        """The register frame it lies in, if its space is one."""
        return self.space.name if self.space.name in regs.frames() else None


class PlaceType(_ParamType):
    """A register's name (GICD_ISENABLER1), a frame and an offset (GICD+0x104), or a physical address."""

    name = "place"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Place:
        if isinstance(value, Place):
            return value
        text = str(value)
        frame, plus, offset = text.upper().partition("+")
        if plus:
            if frame not in Space.__members__:
                self.fail(f"{frame!r} is not a space; there are {', '.join(Space.__members__)}", param, ctx)
            return Place(Space[frame], NUMBER.convert(offset.lower(), param, ctx), text)
        if text[:1].isdigit():
            return Place(Space.PHYSICAL, NUMBER.convert(text, param, ctx), text)
        name = text.upper().partition("_")[0]
        found = regs.frames()[name].named(text) if name in regs.frames() else None
        if found is None:
            self.fail(f"{text!r} is no register; `vgicctl regs` lists them, GICD+0x104 names a place", param, ctx)
        return Place(Space[name], found, text)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        names = (row.name for frame in regs.frames().values() for row in frame.registers)
        return [CompletionItem(name) for name in names if name.startswith(incomplete.upper())]


PLACE_HELP = "PLACE is a register (GICD_TYPER), a frame and an offset (GICD+0x104), or a physical address."

NUMBER = Number()
PLACE = PlaceType()
