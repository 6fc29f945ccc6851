"""`vgicctl list`: the daemons that run here."""

from __future__ import annotations

import click

from vgicd_client.ctl import discover, output
from vgicd_client.ctl.session import Session, talks


@click.command("list")
@talks
@click.pass_obj
def list_daemons(session: Session) -> None:
    """List the running daemons, found by their sockets in the default directories."""
    rows = [found.row() for found in discover.running()]
    if session.json:
        output.as_json(rows)
        return
    columns = ("address", "domain", "vcpus", "spis", "lrs", "variant", "profile", "problem")
    output.table("daemons", columns, [[row.get(column) for column in columns] for row in rows])
