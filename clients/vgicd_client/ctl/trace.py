"""`vgicctl trace replay`: recorded traces of Xen's vGIC, compared field by field."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import click

from vgicd_client.ctl import output
from vgicd_client.ctl.session import EXIT_FAILED, EXIT_USAGE, Session, fail, talks
from vgicd_client.ctl.worlds import LocalWorld, RemoteWorld
from vgicd_client.daemon import private_daemon
from vgicd_client.sync_client import connect
from vgicd_client.trace.format import load
from vgicd_client.trace.replay import Difference, World
from vgicd_client.trace.replay import replay as replay_trace


@click.group()
def trace() -> None:
    """Replay recorded traces."""


@trace.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE...")
@click.option("--in-process", is_flag=True, help="in a domain of this process instead of a daemon's")
@click.option("--connect", "address", metavar="ADDRESS", help="through this daemon, whose domain is replaced")
@talks
@click.pass_obj
def replay(session: Session, files: tuple[Path, ...], in_process: bool, address: str | None) -> None:
    """Replay vgic-trace/1 FILEs (.jsonl, .jsonl.gz) and compare every observed field exactly.

    Each file's domain is created anew (variant xen, profile trace, geometry from the header), by RESET when it is a
    daemon's.  Without --in-process and --connect a private daemon is started, and ended afterwards.

    For every file prints "FILE ops=N compared=M ok": the operations in it, and those that were compared.  At the
    first difference prints the operation, what was expected and what came, both in words, and exits with 1.  A file
    that is not vgic-trace/1, or holds an operation or a field that is not known, exits with 2.
    """
    if in_process and address is not None:
        fail(EXIT_USAGE, "--in-process and --connect exclude each other")
    reports: list[dict[str, object]] = []
    with _world(session, in_process, address or session.address) as world:
        for file in files:
            recorded = load(file)
            try:
                report = replay_trace(recorded, world)
            except Difference as difference:
                _tell(session, file, difference, reports)
                raise click.exceptions.Exit(EXIT_FAILED) from difference
            reports.append({"file": str(file), **asdict(report), "ok": True})
            if not session.json:
                output.good(f"{file} ops={report.ops} compared={report.compared} ok")
    if session.json:
        output.as_json(reports)


@contextmanager
def _world(session: Session, in_process: bool, address: str | None) -> Iterator[World]:
    if in_process:
        yield LocalWorld()
    elif address is not None:
        with session.connect("control", address=address, name="vgicctl trace replay") as client:
            yield RemoteWorld(client)
    else:
        with (
            private_daemon(variant="xen", profile="trace") as daemon,
            connect(daemon.address, "control", name="vgicctl trace replay") as client,
        ):
            yield RemoteWorld(client)


def _tell(session: Session, file: Path, difference: Difference, reports: list[dict[str, object]]) -> None:
    if not session.json:
        output.bad(f"{file}: {chr(10).join(difference.lines())}")
        return
    found = {
        "operation": difference.number,
        "field": difference.field,
        "expected": difference.expected,
        "got": difference.got,
        "lines": difference.lines(),
    }
    output.as_json([*reports, {"file": str(file), "ok": False, "difference": found}])
