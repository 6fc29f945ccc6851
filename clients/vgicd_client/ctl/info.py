"""`vgicctl info` and `vgicctl stats`: who the daemon is, and what it has counted."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import click

from vgicd_client import decode
from vgicd_client.ctl import output
from vgicd_client.ctl.session import Session, talks
from vgicd_client.sync_client import Client
from vgicd_protocol.session import Feature


@click.command()
@talks
@click.pass_obj
def info(session: Session) -> None:
    """Show the daemon's domain, its geometry, its address map and the state of its outputs."""
    with session.connect() as client:
        client.ping()
        facts = _facts(client)
    if session.json:
        output.as_json(facts)
        return
    limits = facts.pop("limits")
    frames = facts.pop("frames")
    outputs = decode.outputs(facts.pop("outputs"), facts["vcpus"])
    facts["features"] = " ".join(facts["features"])
    output.facts(facts.pop("address"), [*facts.items(), ("outputs", outputs)])
    output.table(
        "address map",
        ("frame", "address", "bytes"),
        [(f["name"], f"{f['base']:#010x}", f"{f['size']:#x}") for f in frames],
    )
    output.table("limits", ("limit", "value"), list(limits.items()))


@click.command()
@talks
@click.pass_obj
def stats(session: Session) -> None:
    """Show the daemon's counters: operations, and guest faults by kind and register."""
    with session.connect() as client:
        counters = client.stats()
    if session.json:
        output.as_json(counters)
    else:
        output.table("counters", ("counter", "value"), sorted(counters.items()))


def _facts(client: Client) -> dict[str, Any]:
    welcome = client.welcome
    return {
        "address": str(client.options.address),
        "domain": welcome.domain,
        "server": welcome.server,
        "role": welcome.role.name.lower(),
        **asdict(welcome.geometry),
        "mode": "explicit" if welcome.explicit else "automatic",
        "order": client.order,
        "features": [str(feature.name).lower() for feature in Feature if welcome.features & feature],
        "outputs": client.outputs,
        "frames": [window._asdict() for window in welcome.windows],
        "limits": asdict(welcome.limits),
    }
