"""`vgicctl mode`, `enter` and `exit`: who switches worlds, and doing it by hand."""

from __future__ import annotations

from typing import Any

import click

from vgicd_client import decode, requests
from vgicd_client.ctl import output
from vgicd_client.ctl.irqs import LIST_REGISTER_COLUMNS, list_register_rows
from vgicd_client.ctl.numbers import NUMBER
from vgicd_client.ctl.session import Session, talks
from vgicd_client.replies import Effect, EffectKind, EnterState, ExitState, Reply

_MODES = ("automatic", "explicit")


@click.command()
@click.argument("chosen", required=False, type=click.Choice(_MODES), metavar="[explicit|automatic]")
@talks
@click.pass_obj
def mode(session: Session, chosen: str | None) -> None:
    """Show who switches worlds, or choose: explicit, by enter and exit; or automatic, the daemon by itself.

    Back to automatic only with every vCPU outside the guest.
    """
    with session.connect() as client:
        if chosen is not None:
            client.mode(chosen == "explicit")
        found = chosen or _MODES[client.welcome.explicit]
        if session.json:
            output.as_json({"mode": found, "order": client.order, "outputs": client.outputs})
        else:
            click.echo(found)


@click.command()
@click.option("--vcpu", type=NUMBER, default=0, metavar="N", help="who enters  [default: 0]")
@talks
@click.pass_obj
def enter(session: Session, vcpu: int) -> None:
    """Explicit mode: load the list registers of a vCPU and enter the guest; show what the hardware holds then."""
    with session.connect() as client:
        reply = client.perform(requests.enter(vcpu), effects=True)
    state = reply.value
    _report(
        session,
        vcpu,
        reply,
        f"vCPU {vcpu} has entered: {state.used} used; HCR {decode.hcr(state.hcr)}; MISR {decode.misr(state.misr)}",
    )


@click.command("exit")
@click.option("--vcpu", type=NUMBER, default=0, metavar="N", help="who leaves  [default: 0]")
@talks
@click.pass_obj
def exit_guest(session: Session, vcpu: int) -> None:
    """Explicit mode: leave the guest and fold a vCPU's list registers; show what they held before."""
    with session.connect() as client:
        reply = client.perform(requests.exit(vcpu), effects=True)
    state = reply.value
    _report(
        session,
        vcpu,
        reply,
        f"vCPU {vcpu} has left: EISR {decode.bits(state.eisr)}; ELRSR {decode.bits(state.elrsr)}; "
        f"MISR {decode.misr(state.misr)}; APR {decode.bits(state.apr)}; HCR afterwards {decode.hcr(state.hcr)}",
    )


def _report(session: Session, vcpu: int, reply: Reply[Any], title: str) -> None:
    state: EnterState | ExitState = reply.value
    if session.json:
        output.as_json(
            {
                "vcpu": vcpu,
                **state._asdict(),
                "decoded": [decode.list_register(word)._asdict() for word in state.lrs],
                "effects": [{**effect._asdict(), "kind": _kind(effect)} for effect in reply.effects],
                "order": reply.order,
                "outputs": reply.outputs,
            }
        )
        return
    output.table(title, LIST_REGISTER_COLUMNS, list_register_rows(state.lrs))
    for effect in reply.effects:
        click.echo(effect_text(effect))
    output.operation(reply.order, reply.outputs)


def effect_text(effect: Effect) -> str:
    """What the operation asked of the world outside the vGIC, in words."""
    match effect.kind:
        case EffectKind.KICK:
            return f"kick: vCPU {effect.a} is asked to leave the guest"
        case EffectKind.AFFINITY:
            return f"affinity: physical interrupt {effect.b} goes to physical CPU {effect.c}"
        case EffectKind.TYPE:
            return f"type: physical interrupt {effect.b} is {'level' if effect.a else 'edge'}"
        case EffectKind.ACTIVE | EffectKind.PENDING | EffectKind.SAMPLE:
            return f"{_kind(effect)}: physical interrupt {effect.b}, {effect.a}"
    return f"{_kind(effect)}: physical interrupt {effect.b}"


def _kind(effect: Effect) -> str:
    return EffectKind(effect.kind).name.lower()
