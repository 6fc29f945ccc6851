"""`vgicctl watch`: events as they happen."""

from __future__ import annotations

from typing import Any

import click

from vgicd_client import decode, regs
from vgicd_client.ctl import output
from vgicd_client.ctl.numbers import NUMBER
from vgicd_client.ctl.session import Session, talks
from vgicd_protocol.events import GAP, Event, EventKind

_KINDS = [kind.name.lower() for kind in EventKind]
_ACCESS = (EventKind.ACCESS, EventKind.FAULT)
_FRAMES = {1: "GICD", 2: "GICC", 3: "GICH"}


@click.command()
@click.option("--kind", "kinds", multiple=True, type=click.Choice(_KINDS), help="only these; may be given repeatedly")
@click.option("--count", type=NUMBER, metavar="N", help="end after N events")
@click.option("--seconds", type=float, metavar="S", help="end when none has come for S seconds")
@talks
@click.pass_obj
def watch(session: Session, kinds: tuple[str, ...], count: int | None, seconds: float | None) -> None:
    """Print events as they happen, one a line, until interrupted."""
    chosen = [EventKind[kind.upper()] for kind in kinds] or None
    with session.connect() as client:
        client.subscribe(chosen)
        try:
            for number, event in enumerate(client.events(seconds), 1):
                if session.json:
                    output.as_json_line(facts(event))
                else:
                    click.echo(text(event))
                if number == count:
                    return
        except KeyboardInterrupt:
            return


def facts(event: Event) -> dict[str, Any]:
    """The event for JSON; `value` is None for a guest's read, whose answer no event has."""
    reads = event.kind in _ACCESS and not event.intid >> 8
    return {**event._asdict(), "kind": name(event), "value": None if reads else event.value}


def name(event: Event) -> str:
    """The event's kind in lower case."""
    return "gap" if event.kind == GAP else EventKind(event.kind).name.lower()


def text(event: Event) -> str:
    """The event on one line: its operation's number, its kind, and what that kind says."""
    head = f"{event.order:>8}  {name(event):<11}"
    match event.kind:
        case k if k == GAP:
            return f"{head} {event.value} events were lost"
        case EventKind.OUTPUT:
            return f"{head} {decode.outputs(event.value)}"
        case EventKind.RESET:
            return head.rstrip()
        case EventKind.KICK | EventKind.ENTER | EventKind.EXIT:
            return f"{head} vcpu {event.vcpu}"
        case EventKind.MAINTENANCE:
            return f"{head} vcpu {event.vcpu}  {decode.misr(event.value)}"
        case EventKind.LOAD:
            return f"{head} vcpu {event.vcpu}  LR{event.address} = {decode.list_register(event.value)}"
        case EventKind.ACK:
            return f"{head} vcpu {event.vcpu}  {decode.acknowledgement(event.value)}"
        case k if k in _ACCESS:
            return f"{head} vcpu {event.vcpu}  {_access(event)}"
        case EventKind.CONSOLE:
            return f"{head} {bytes([event.value & 0xFF])!r}"
        case EventKind.LINE | EventKind.MIGRATE | EventKind.EOI:
            return f"{head} vcpu {event.vcpu}  irq {event.intid}  {event.value:#x}"
    return f"{head} vcpu {event.vcpu}  irq {event.intid}"


def _access(event: Event) -> str:
    size, write = event.intid & 0xFF, event.intid >> 8
    space, offset = event.address >> 28, event.address & 0xFFF_FFFF
    frame = _FRAMES.get(space)
    place = regs.locate(frame, offset) if frame else f"space {space} + {offset:#x}"
    # an event is recorded before the access is made: what a read answers is not in it
    return f"write{8 * size} {place} {event.value:#x}" if write else f"read{8 * size} {place}"
