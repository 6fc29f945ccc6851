"""`vgicctl regs`: the register frames as a guest would read them now, decoded, without side effects."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any, NamedTuple

import click

from vgicd_client import regs as rows
from vgicd_client.ctl import output
from vgicd_client.ctl.numbers import NUMBER
from vgicd_client.ctl.session import Session, talks
from vgicd_client.requests import Entry
from vgicd_client.sync_client import Client
from vgicd_protocol.frames import Plane, Space


class Word(NamedTuple):
    """One readable word of a frame; `value` is None when the guest's read would abort."""

    row: rows.Register
    offset: int
    value: int | None

    @property
    def shown(self) -> bool:
        """Worth a line: not one of an array's many zeros."""
        return self.value is None or self.value != 0 or self.row.length == 4

    def facts(self) -> dict[str, Any]:
        """For JSON."""
        fields = {} if self.value is None else {f.name: f.get(self.value) for f in self.row.fields}
        return {
            "name": self.row.name_at(self.offset),
            "offset": self.offset,
            "value": self.value,
            "fields": fields,
            "text": self.text(),
        }

    def text(self) -> str:
        """The value in words."""
        return "aborts" if self.value is None else self.row.decode(self.offset, self.value)


@click.command()
@click.argument("frame", required=False, type=click.Choice(("GICD", "GICC", "GICH"), case_sensitive=False))
@click.option("--vcpu", type=NUMBER, default=0, metavar="N", help="whose banked registers  [default: 0]")
@click.option("--all", "everything", is_flag=True, help="also the zero words of arrays")
@talks
@click.pass_obj
def regs(session: Session, frame: str | None, vcpu: int, everything: bool) -> None:
    """Show the registers of FRAME (all frames without one), decoded.

    Reads on the debug plane: nothing is acknowledged or otherwise disturbed.
    """
    names = [frame.upper()] if frame else list(rows.frames())
    with session.connect() as client:
        found = {name: list(_words(client, name, vcpu)) for name in names}
    if session.json:
        words = {name: [w.facts() for w in frame_words if everything or w.shown] for name, frame_words in found.items()}
        output.as_json({"vcpu": vcpu, "frames": words})
        return
    for name, frame_words in found.items():
        output.table(
            f"{name} of vCPU {vcpu}",
            ("register", "offset", "value", "fields"),
            [
                (
                    w.row.name_at(w.offset),
                    f"{w.offset:#06x}",
                    "" if w.value is None else f"{w.value:#010x}",
                    w.text(),
                )
                for w in frame_words
                if everything or w.shown
            ],
        )


def _words(client: Client, frame: str, vcpu: int) -> Iterator[Word]:
    geometry = client.welcome.geometry
    places = iter(
        [
            (row, offset)
            for row in rows.frames()[frame].registers
            if row.readable
            for offset in row.words(32 + geometry.spis, geometry.lrs)
        ]
    )
    while batch := list(islice(places, client.welcome.limits.entries)):
        space = Space[frame]
        results = client.vector([Entry.reading(vcpu, space, offset, 4, Plane.DEBUG) for _, offset in batch])
        for (row, offset), result in zip(batch, results, strict=True):
            yield Word(row, offset, None if result.fault else result.value)
