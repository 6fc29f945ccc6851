"""`vgicctl read`, `write` and `peek`: single accesses, as the guest or as an onlooker."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from vgicd_client import decode, regs
from vgicd_client.ctl import output
from vgicd_client.ctl.numbers import NUMBER, PLACE, Place
from vgicd_client.ctl.session import EXIT_FAILED, Session, talks
from vgicd_client.sync_client import Client
from vgicd_protocol.frames import SIZES

_SIZES = click.Choice([str(size) for size in SIZES])


def _access_options(command: Callable[..., Any]) -> Callable[..., Any]:
    command = click.option("--size", type=_SIZES, default="4", help="bytes  [default: 4]")(command)
    return click.option("--vcpu", type=NUMBER, default=0, metavar="N", help="who accesses  [default: 0]")(command)


@click.command()
@click.argument("place", type=PLACE)
@_access_options
@talks
@click.pass_obj
def read(session: Session, place: Place, vcpu: int, size: str) -> None:
    """Read PLACE as the guest would, with all effects (reading GICC_IAR acknowledges).

    PLACE is a register (GICD_TYPER), a frame and an offset (GICD+0x104), or a physical address.
    """
    with session.connect() as client:
        _report(session, client, place, int(size), client.read(vcpu, place.space, place.offset, int(size)))


@click.command()
@click.argument("place", type=PLACE)
@_access_options
@talks
@click.pass_obj
def peek(session: Session, place: Place, vcpu: int, size: str) -> None:
    """Show what the guest would read at PLACE now, without any effect."""
    with session.connect() as client:
        _report(session, client, place, int(size), client.peek(vcpu, place.space, place.offset, int(size)))


@click.command()
@click.argument("place", type=PLACE)
@click.argument("value", type=NUMBER)
@_access_options
@talks
@click.pass_obj
def write(session: Session, place: Place, value: int, vcpu: int, size: str) -> None:
    """Write VALUE to PLACE as the guest would."""
    with session.connect() as client:
        client.write(vcpu, place.space, place.offset, value, int(size))
        _report(session, client, place, int(size), None)


def _report(session: Session, client: Client, place: Place, size: int, value: int | None) -> None:
    words = regs.describe(place.frame, place.offset, value, size) if place.frame and value is not None else []
    if session.json:
        facts = {"aborted": client.aborted, "order": client.order, "outputs": client.outputs}
        output.as_json(facts if value is None else {"value": value, "text": words} | facts)
    elif client.aborted:
        output.bad("the access aborts")
    elif value is not None:
        click.echo(words[0] if words else f"{value:#0{2 + 2 * size}x}")
    else:
        click.echo(f"operation {client.order}; outputs: {decode.outputs(client.outputs)}")
    if client.aborted:
        raise click.exceptions.Exit(EXIT_FAILED)
