"""`vgicctl dump`: the state as the hypervisors print it."""

from __future__ import annotations

import click

from vgicd_client.ctl import output
from vgicd_client.ctl.session import Session, talks


@click.command()
@click.option("--kvm", is_flag=True, help="KVM's vgic-state table instead of Xen's virtual interrupt info")
@talks
@click.pass_obj
def dump(session: Session, kvm: bool) -> None:
    """Print the state as Xen's or KVM's own dump would show it."""
    with session.connect() as client:
        text = client.dump(int(kvm))
    if session.json:
        output.as_json({"kind": "kvm" if kvm else "xen", "text": text})
    else:
        click.echo(text.rstrip("\n") or "nothing is queued")
