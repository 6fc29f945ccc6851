"""`vgicctl time` and `reset`: virtual time forward, and the domain built anew."""

from __future__ import annotations

import os

import click

from vgicd_client.ctl import output
from vgicd_client.ctl.numbers import NUMBER
from vgicd_client.ctl.session import EXIT_FAILED, Session, fail, talks
from vgicd_client.sync_client import Client


@click.command()
@click.argument("now", type=NUMBER, metavar="N")
@talks
@click.pass_obj
def time(session: Session, now: int) -> None:
    """Advance virtual time to N ticks of the guest's counter; never backwards."""
    with session.connect() as client:
        client.time(now)
        _report(session, client)


@click.command()
@talks
@click.pass_obj
def reset(session: Session) -> None:
    """Build the domain anew, as it is configured; all of its state is lost."""
    with session.connect() as client:
        errno = client.reset()
        if errno:
            fail(EXIT_FAILED, f"the domain cannot be built, and is as it was: {os.strerror(-errno)}")
        _report(session, client)


def _report(session: Session, client: Client) -> None:
    if session.json:
        output.as_json({"order": client.order, "outputs": client.outputs})
    else:
        output.operation(client.order, client.outputs)
