"""`vgicctl irq`, `irqs` and `lrs`: interrupts one by one, together, and as the list registers hold them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import click

from vgicd_client import decode
from vgicd_client.ctl import output
from vgicd_client.ctl.numbers import NUMBER
from vgicd_client.ctl.session import Session, talks
from vgicd_client.replies import IrqState
from vgicd_client.sync_client import Client

_SGIS = 16
_PRIVATE = 32
_NONE = 0xFFFF
_COLUMNS = ("irq", "vcpu", "on", "type", "line", "latch", "pend", "act", "prio", "targets", "list", "lr", "hw")
LIST_REGISTER_COLUMNS = ("list register", "word", "holds")


@click.command()
@click.argument("intid", type=NUMBER)
@click.argument("action", required=False, type=click.Choice(("up", "down", "pulse")))
@click.option("--vcpu", type=NUMBER, metavar="N", help="the owner of an SGI or PPI  [default: 0]")
@talks
@click.pass_obj
def irq(session: Session, intid: int, action: str | None, vcpu: int | None) -> None:
    """Show all that is known of interrupt INTID, or drive its line: up, down, or one pulse."""
    owner = (vcpu or 0) if intid < _PRIVATE else vcpu
    with session.connect() as client:
        match action:
            case "up" | "down":
                client.line(intid, action == "up", owner)
            case "pulse":
                client.pulse(intid, owner)
        if action is not None:
            report = {"order": client.order, "outputs": client.outputs}
            if session.json:
                output.as_json(report)
            else:
                output.operation(client.order, client.outputs)
            return
        state = client.irq_info(intid, owner)
    if session.json:
        output.as_json(state._asdict())
    else:
        output.facts(f"interrupt {intid}", _story(state))


@click.command()
@click.option("--all", "everything", is_flag=True, help="also those at rest")
@talks
@click.pass_obj
def irqs(session: Session, everything: bool) -> None:
    """Show all interrupts that are not at rest: enabled, pending, active, listed, or with the line high.

    SGIs are always enabled after reset and count only when something else holds.
    """
    with session.connect() as client:
        states = [state for state in _all(client) if everything or not _rests(state)]
    if session.json:
        output.as_json([state._asdict() for state in states])
    else:
        output.table("interrupts", _COLUMNS, [_row(state) for state in states])


@click.command()
@click.option("--vcpu", type=NUMBER, metavar="N", help="only this vCPU's")
@talks
@click.pass_obj
def lrs(session: Session, vcpu: int | None) -> None:
    """Show the list registers and the state of the virtual interface around them."""
    with session.connect() as client:
        vcpus = range(client.welcome.geometry.vcpus) if vcpu is None else (vcpu,)
        found = {number: client.lr_get(number) for number in vcpus}
    if session.json:
        output.as_json(
            [
                {"vcpu": n, **s._asdict(), "decoded": [decode.list_register(w)._asdict() for w in s.lrs]}
                for n, s in found.items()
            ]
        )
        return
    for number, state in found.items():
        where = "inside the guest" if state.inside else "outside the guest"
        used = len(state.lrs) - state.elrsr.bit_count()
        output.table(
            f"vCPU {number}: {where}, {used} used; HCR {decode.hcr(state.hcr)}; MISR {decode.misr(state.misr)}; "
            f"EISR {decode.bits(state.eisr)}; ELRSR {decode.bits(state.elrsr)}; APR {decode.bits(state.apr)}",
            LIST_REGISTER_COLUMNS,
            list_register_rows(state.lrs),
        )


def list_register_rows(words: Iterable[int]) -> list[tuple[str, str, str]]:
    """List registers for a table with `LIST_REGISTER_COLUMNS`."""
    return [(f"LR{n}", f"{word:#010x}", str(decode.list_register(word))) for n, word in enumerate(words)]


def _all(client: Client) -> Iterator[IrqState]:
    geometry = client.welcome.geometry
    for vcpu in range(geometry.vcpus):
        for intid in range(_PRIVATE):
            yield client.irq_info(intid, vcpu)
    for intid in range(_PRIVATE, _PRIVATE + geometry.spis):
        yield client.irq_info(intid)


def _rests(state: IrqState) -> bool:
    busy = state.pending or state.active or state.line_level or state.listed >= 0 or state.hw
    return not busy and (not state.enabled or state.intid < _SGIS)


def _number(value: int) -> str:
    return "" if value < 0 else str(value)


def _row(state: IrqState) -> tuple[Any, ...]:
    return (
        state.intid,
        "" if state.vcpu == _NONE else state.vcpu,
        state.enabled,
        "level" if state.is_level else "edge",
        state.line_level,
        state.pending_latch,
        state.pending,
        state.active,
        f"{state.priority:#04x}",
        f"{state.targets:#04x}",
        f"{state.listed}[{state.position}]" if state.listed >= 0 else "",
        _number(state.lr),
        state.hwintid if state.hw else "",
    )


def _story(state: IrqState) -> list[tuple[str, Any]]:
    return [
        ("owner", "" if state.vcpu == _NONE else f"vCPU {state.vcpu}"),
        ("enabled", state.enabled),
        ("trigger", "level" if state.is_level else "edge"),
        ("line", "high" if state.line_level else "low"),
        ("pending", state.pending),
        ("pending latch", state.pending_latch),
        ("active", state.active),
        ("group", state.group),
        ("priority", f"{state.priority:#04x}"),
        ("targets", f"{state.targets:#04x} {decode.bits(state.targets)}"),
        ("target", "none" if state.target < 0 else f"vCPU {state.target}"),
        ("pending from", decode.bits(state.source) if state.intid < _SGIS else ""),
        ("active from", f"cpu {state.active_source}" if state.intid < _SGIS and state.active else ""),
        ("hardware", f"tied to {state.hwintid}" if state.hw else "none"),
        ("ap_list", f"vCPU {state.listed}, position {state.position}" if state.listed >= 0 else "none"),
        (
            "list register",
            f"LR{state.lr} {state.lr_value:#010x}: {decode.list_register(state.lr_value)}" if state.lr >= 0 else "none",
        ),
    ]
