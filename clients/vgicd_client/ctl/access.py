"""`vgicctl read`, `write` and `peek`: single accesses, as the guest or as an onlooker."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import click

from vgicd_client import faults, regs
from vgicd_client.ctl import output
from vgicd_client.ctl.numbers import NUMBER, PLACE, PLACE_HELP, Place
from vgicd_client.ctl.session import EXIT_FAILED, EXIT_USAGE, Session, fail, talks
from vgicd_client.sync_client import Client
from vgicd_protocol.frames import SIZES, Space
from vgicd_protocol.session import Window

_SIZES = click.Choice([str(size) for size in SIZES])


def _access_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add PLACE with its explanation, --size and --vcpu."""
    command.__doc__ = f"{inspect.getdoc(command)}\n\n{PLACE_HELP}"
    command = click.option("--size", type=_SIZES, default="4", help="bytes  [default: 4]")(command)
    return click.option("--vcpu", type=NUMBER, default=0, metavar="N", help="who accesses  [default: 0]")(command)


@click.command()
@click.argument("place", type=PLACE)
@_access_options
@talks
@click.pass_obj
def read(session: Session, place: Place, vcpu: int, size: str) -> None:
    """Read PLACE as the guest would, with all effects (reading GICC_IAR acknowledges)."""
    with session.connect() as client:
        access = Access(client, place, int(size))
        before = access.counters()
        value = client.read(vcpu, place.space, place.offset, int(size))
        access.report(session, value, before)


@click.command()
@click.argument("place", type=PLACE)
@_access_options
@talks
@click.pass_obj
def peek(session: Session, place: Place, vcpu: int, size: str) -> None:
    """Show what the guest would read at PLACE now, without any effect."""
    with session.connect() as client:
        access = Access(client, place, int(size), guest=False)
        access.report(session, client.peek(vcpu, place.space, place.offset, int(size)), None)


@click.command()
@click.argument("place", type=PLACE)
@click.argument("value", type=NUMBER)
@_access_options
@talks
@click.pass_obj
def write(session: Session, place: Place, value: int, vcpu: int, size: str) -> None:
    """Write VALUE to PLACE as the guest would."""
    if value >> 8 * int(size):
        fail(EXIT_USAGE, f"{value:#x} does not fit into {size} byte{'s' if size != '1' else ''}: see --size")
    with session.connect() as client:
        access = Access(client, place, int(size), write=True)
        before = access.counters()
        client.write(vcpu, place.space, place.offset, value, int(size))
        access.report(session, None, before)


class Access(NamedTuple):
    """One access about to be made, or just made, through `client`."""

    client: Client
    place: Place
    size: int
    write: bool = False
    guest: bool = True

    @property
    def windows(self) -> Sequence[Window]:
        """Where something answers at a physical address."""
        windows = self.client.welcome.windows
        return faults.reachable(windows) if self.guest else windows

    @property
    def where(self) -> tuple[str, int] | None:
        """The register frame and the offset that it reaches, where they are described."""
        return faults.resolve(self.place.space, self.place.offset, self.windows)

    @property
    def unmapped(self) -> bool:
        """Whether it goes to a physical address at which nothing answers."""
        address = self.place.offset
        return self.place.space == Space.PHYSICAL and not any(w.base <= address < w.base + w.size for w in self.windows)

    def counters(self) -> Mapping[str, int] | None:
        """The counters from before it, where only they can tell whether a device takes it."""
        return None if self.where or self.unmapped else self.client.stats()

    def fault(self, before: Mapping[str, int] | None) -> str:
        """Why it does not do what it says; "" when it does."""
        if self.unmapped:
            return "unmapped"
        if self.where is not None:
            return faults.verdict(*self.where, self.size, self.client.welcome.geometry.spis, write=self.write)
        return "" if before is None else faults.counted(before, self.client.stats())

    def report(self, session: Session, value: int | None, before: Mapping[str, int] | None) -> None:
        """Print what came of it, `value` for a read. Ends the command with a code when it aborted."""
        client = self.client
        facts: dict[str, Any] = {"aborted": client.aborted, "order": client.order, "outputs": client.outputs}
        kind = self.fault(before)
        answers = not self.write and not client.aborted and kind in ("", "unmapped")
        words = regs.describe(*self.where, value, self.size) if self.where and answers and value is not None else []
        if session.json:
            facts["refused"] = kind or None
            output.as_json(facts if value is None else {"value": value, "text": words} | facts)
        elif client.aborted:
            output.bad(f"the access aborts ({kind})" if kind else "the access aborts")
        else:
            note = faults.sentence(kind, write=self.write) if kind else ""
            if value is None:
                output.operation(facts["order"], facts["outputs"], note)
            else:
                shown = words[0] if words else f"{value:#0{2 + 2 * self.size}x}" if answers else self.name
                click.echo(f"{shown} {note}".rstrip())
        if facts["aborted"]:
            raise click.exceptions.Exit(EXIT_FAILED)

    @property
    def name(self) -> str:
        """The register's name, or the place as it was written where there is none."""
        row = regs.frames()[self.where[0]].at(self.where[1]) if self.where else None
        return row.name_at(self.where[1] & ~3) if self.where and row else self.place.text
