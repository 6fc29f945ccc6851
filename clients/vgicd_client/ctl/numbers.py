"""Numbers and places as people write them on a command line."""

from __future__ import annotations

from typing import Any, NamedTuple

import click
from click.shell_completion import CompletionItem

from vgicd_client import regs
from vgicd_protocol.frames import Space


class Number(click.ParamType):
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


class PlaceType(click.ParamType):
    """A register's name (GICD_ISENABLER1), a frame and an offset (GICD+0x104), or a physical address."""

    name = "place"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Place:
        if isinstance(value, Place):
            return value
        text = str(value)
        frame, plus, offset = text.upper().partition("+")
        number = Number()
        if plus:
            spaces = {space.name: space for space in Space}
            if frame not in spaces:
                self.fail(f"{frame!r} is not a space; there are {', '.join(spaces)}", param, ctx)
            return Place(spaces[frame], number.convert(offset.lower(), param, ctx), text)
        if text[:1].isdigit():
            return Place(Space.PHYSICAL, number.convert(text, param, ctx), text)
        for name, registers in regs.frames().items():
            if text.upper().startswith(f"{name}_"):
                found = registers.named(text)
                if found is not None:
                    return Place(Space[name], found, text)
        self.fail(f"{text!r} is no register; `vgicctl regs` lists them, GICD+0x104 names a place", param, ctx)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        names = (row.name for frame in regs.frames().values() for row in frame.registers)
        return [CompletionItem(name) for name in names if name.startswith(incomplete.upper())]


NUMBER = Number()
PLACE = PlaceType()
