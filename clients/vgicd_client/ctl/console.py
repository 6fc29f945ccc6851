"""`vgicctl console`: the guest's UART on this terminal."""

from __future__ import annotations

import os
import select
import sys
import termios
import time
import tty
from collections.abc import Iterator
from contextlib import contextmanager

import click

from vgicd_client.ctl import output
from vgicd_client.ctl.session import Session, talks
from vgicd_client.sync_client import Client
from vgicd_protocol.events import GAP, EventKind

LEAVE = b"\x1d"  # ctrl-]
RETRY_SECONDS = 0.05
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
    """Carry bytes both ways until ctrl-], or until `source` has ended and nothing has come for `quiet` seconds.

    CONSOLE is an operation of the domain with a number, so it is asked only when there is something to type or to
    fetch; that the guest has written is told by events.
    """
    client.subscribe([EventKind.CONSOLE])
    waiting = b""
    open_ = fetch = True  # the guest may have written before the events began
    active = time.monotonic()
    while True:
        if waiting or fetch:
            state = client.console(waiting[:CHUNK])
            waiting = waiting[state.accepted :]
            _show(state.data)
            if state.data or state.accepted:
                active = time.monotonic()
        seconds = RETRY_SECONDS if waiting else None  # until the guest has taken what filled its receiver
        if not open_:
            if quiet is None:
                return
            left = active + quiet - time.monotonic()
            if left <= 0 and not waiting:
                return
            seconds = seconds or left
        fetch = _has_written(client)
        if fetch:
            continue
        sources: list[Client | int] = [client, source] if open_ and not waiting else [client]
        ready, _, _ = select.select(sources, [], [], seconds)
        if source in ready:
            typed = os.read(source, CHUNK)
            open_ = bool(typed)
            active = time.monotonic()
            if quiet is None and LEAVE in typed:
                return
            waiting += typed
        fetch = _has_written(client)


def _has_written(client: Client) -> bool:
    """Whether the guest has written since the last reply, whose order number says what it included."""
    seen = client.order
    return any(event.order > seen or event.kind == GAP for event in list(client.events(0)))


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
