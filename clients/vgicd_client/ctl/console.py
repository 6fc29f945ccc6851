"""`vgicctl console`: the guest's UART on this terminal."""

from __future__ import annotations

import os
import select
import sys
import termios
import tty
from collections.abc import Iterator
from contextlib import contextmanager

import click

from vgicd_client.ctl import output
from vgicd_client.ctl.session import Session, talks
from vgicd_client.sync_client import Client

LEAVE = b"\x1d"  # ctrl-]
POLL_SECONDS = 0.05
CHUNK = 4096


@click.command()
@click.option("--send", metavar="TEXT", help="send TEXT, print what the guest has written, and end")
@click.option("--seconds", type=float, default=0.2, help="quiet time after which a pipe's session ends  [default: 0.2]")
@talks
@click.pass_obj
def console(session: Session, send: str | None, seconds: float) -> None:
    """Connect this terminal to the guest's console; ctrl-] leaves.

    With input from a pipe it ends once everything is sent and the guest has been quiet for a while.
    """
    with session.connect() as client:
        if send is not None or session.json:
            _once(session, client, (send or "").encode())
        elif sys.stdin.isatty():
            with _raw(sys.stdin.fileno()):
                _talk(client, sys.stdin.fileno(), None)
            click.echo()
        else:
            _talk(client, sys.stdin.fileno(), seconds)


def _once(session: Session, client: Client, offer: bytes) -> None:
    state = client.console(offer)
    if session.json:
        output.as_json({"accepted": state.accepted, "data": state.data.decode("utf-8", "replace")})
    else:
        _show(state.data)


def _talk(client: Client, source: int, quiet: float | None) -> None:
    """Carry bytes both ways until ctrl-], or until `source` has ended and nothing has come for `quiet` seconds."""
    waiting = b""
    silent = 0.0
    open_ = True
    while open_ or waiting or quiet is None or silent < quiet:
        ready, _, _ = select.select([source] if open_ and not waiting else [], [], [], POLL_SECONDS)
        if ready:
            typed = os.read(source, CHUNK)
            open_ = bool(typed)
            if quiet is None and LEAVE in typed:
                return
            waiting += typed
        state = client.console(waiting[:CHUNK])
        waiting = waiting[state.accepted :]
        silent = 0.0 if state.data or state.accepted else silent + POLL_SECONDS
        _show(state.data)
        if not open_ and quiet is None:
            return


def _show(data: bytes) -> None:
    sys.stdout.buffer.write(data)
    sys.stdout.flush()


@contextmanager
def _raw(terminal: int) -> Iterator[None]:
    before = termios.tcgetattr(terminal)
    tty.setraw(terminal)
    try:
        yield
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)
