"""`vgicctl snapshot`: the whole state to a file, from a file, and what differs between two."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import click

from vgicd_client.ctl import output
from vgicd_client.ctl.session import EXIT_FAILED, EXIT_USAGE, Session, fail, talks
from vgicd_client.errors import Refused
from vgicd_client.images import difference, load, store

FILE = click.Path(path_type=Path, dir_okay=False)


@click.group()
def snapshot() -> None:
    """Save, restore and compare the whole state."""


@snapshot.command()
@click.argument("file", type=FILE)
@talks
@click.pass_obj
def save(session: Session, file: Path) -> None:
    """Write the daemon's state to FILE."""
    with session.connect() as client:
        image = client.snapshot()
        order = client.order
    store(image, file)
    if session.json:
        output.as_json({"file": str(file), "order": order, "geometry": asdict(image.geometry)})
    else:
        output.good(f"{file}: the state after operation {order}")


@snapshot.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@talks
@click.pass_obj
def restore(session: Session, file: Path) -> None:
    """Make the state in FILE the daemon's; it must be of the same geometry."""
    image = load(file)
    with session.connect("control") as client:
        try:
            client.restore(image)
        except Refused as refused:
            if apart := difference(image.geometry, client.welcome.geometry):
                raise Refused(refused.code, "", f"{file} is of another domain ({apart})") from refused
            raise
        order = client.order
    if session.json:
        output.as_json({"file": str(file), "order": order})
    else:
        output.good(f"{file}: restored")


class Change(NamedTuple):
    """A word that differs; None where one image has none."""

    name: str
    position: int
    before: int | None
    after: int | None


@snapshot.command()
@click.argument("before", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.argument("after", type=click.Path(path_type=Path, dir_okay=False, exists=True), required=False)
@talks
@click.pass_obj
def diff(session: Session, before: Path, after: Path | None) -> None:
    """Show the words that differ from BEFORE to AFTER, or to the daemon's state without AFTER.

    Exits with 1 when there are any.
    """
    old = load(before)
    if after is None:
        with session.connect() as client:
            new = client.snapshot()
    else:
        new = load(after)
    if apart := difference(new.geometry, old.geometry):
        fail(EXIT_USAGE, f"{after or 'the daemon'} is of another domain than {before} ({apart})")
    changes = compare(old.words, new.words)
    if session.json:
        output.as_json([change._asdict() for change in changes])
    elif changes:
        output.table(
            f"{len(changes)} words differ",
            ("name", "word", "before", "after"),
            [(c.name, c.position, _hex(c.before), _hex(c.after)) for c in changes],
        )
    else:
        output.good("no difference")
    if changes:
        raise click.exceptions.Exit(EXIT_FAILED)


def compare(old: dict[str, tuple[int, ...]], new: dict[str, tuple[int, ...]]) -> list[Change]:
    """Every word that differs, by name and index."""
    changes = []
    for name in sorted(old.keys() | new.keys()):
        left, right = old.get(name, ()), new.get(name, ())
        for index in range(max(len(left), len(right))):
            was = left[index] if index < len(left) else None
            is_ = right[index] if index < len(right) else None
            if was != is_:
                changes.append(Change(name, index, was, is_))
    return changes


def _hex(word: int | None) -> Any:
    return "none" if word is None else f"{word:#x}"
