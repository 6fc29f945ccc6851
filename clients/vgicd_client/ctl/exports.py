"""`vgicctl gdb-symbols` and `vgicctl svd`: files about the registers, for other tools."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from vgicd_client.ctl import output
from vgicd_client.ctl.numbers import NUMBER
from vgicd_client.ctl.session import EXIT_USAGE, Session, fail, talks
from vgicd_client.whole import write_whole

Command = TypeVar("Command", bound=Callable[..., Any])

_STDOUT: Final = Path("-")
_DESCRIBED: Final[dict[str, tuple[Any, Any, str]]] = {  # option -> type, default, help
    "profile": (click.Choice(("virt", "xen-guest", "trace")), "virt", "the address map and the devices"),
    "lrs": (NUMBER, 4, "list registers per vCPU"),
    "spis": (NUMBER, 64, "shared interrupts"),
    "vcpus": (NUMBER, 1, "vCPUs"),
}


def _of_a_domain(command: Command) -> Command:
    """Add --output, --offline and, for --offline, what a daemon would have told."""
    for name, (kind, default, doc) in _DESCRIBED.items():
        text = f"with --offline: {doc}  [default: {default}]"
        metavar = "N" if kind is NUMBER else None
        command = click.option(f"--{name}", type=kind, metavar=metavar, help=text)(command)
    command = click.option("--offline", is_flag=True, help="ask no daemon; the domain is what the options below say")(
        command
    )
    return click.option(
        "-o",
        "--output",
        "file",
        type=click.Path(path_type=Path, dir_okay=False, allow_dash=True),
        metavar="FILE",
        help="write to FILE  [default: standard output]",
    )(command)


@click.command("gdb-symbols")
@click.option(
    "--gdb-arch",
    type=click.Choice(("auto", "x86-64", "aarch64", "arm")),
    default="auto",
    show_default=True,
    help="what your gdb is to take the daemon for; auto: this machine's",
)
@click.option(
    "--irq-name", "irq_names", multiple=True, metavar="INTID=NAME", help="also call irqINTID irqINTID_NAME; repeatable"
)
@_of_a_domain
@talks
@click.pass_obj
def gdb_symbols(
    session: Session, /, file: Path | None, gdb_arch: str, irq_names: tuple[str, ...], **options: Any
) -> None:
    """Write the symbol file of the daemon's registers: ELF with DWARF, for gdb's `add-symbol-file`.

    A gdb that connects to the daemon fetches the same file by itself, unless it has loaded another program.
    """
    if file is None and output.on_terminal():
        fail(EXIT_USAGE, "an ELF file would garble the terminal: write it to a file with -o FILE")
    _export(session, file, options, lambda files, shape: files.gdb_symbols(shape, gdb_arch, irq_names))


@click.command()
@_of_a_domain
@talks
@click.pass_obj
def svd(session: Session, /, file: Path | None, **options: Any) -> None:
    """Write the description of the daemon's registers: CMSIS-SVD, for the register views of debuggers."""
    _export(session, file, options, lambda files, shape: files.register_description(shape))


def _export(session: Session, file: Path | None, options: dict[str, Any], make: Callable[[Any, Any], bytes]) -> None:
    """Write what `make` answers, given the exporting module and the domain's shape."""
    from vgicd.export import files  # noqa: PLC0415 - lazy: only this needs the rows themselves, no other command does

    if session.json and file in (None, _STDOUT):
        fail(EXIT_USAGE, "with --json standard output is about the file: name one with -o FILE")
    try:
        content = make(files, _shape(session, files, **options))
    except files.ExportError as error:
        fail(EXIT_USAGE, str(error))
    if file is None or file == _STDOUT:
        click.echo(content, nl=False)
        return
    write_whole(file, content)
    if session.json:
        output.as_json({"file": str(file), "bytes": len(content)})
    else:
        output.good(f"{file}: {len(content)} bytes")


def _shape(session: Session, files: Any, offline: bool, **described: Any) -> Any:
    """The shape of the daemon's domain, or of the described one."""
    given = {name: value for name, value in described.items() if value is not None}
    if offline:
        return files.described(**{name: given.get(name, default) for name, (_, default, _) in _DESCRIBED.items()})
    if given:
        fail(EXIT_USAGE, f"--{next(iter(given))} describes a domain that no daemon is asked about: add --offline")
    with session.connect() as client:
        welcome = client.welcome
    geometry = welcome.geometry
    return files.announced(geometry.profile, geometry.vcpus, geometry.spis, geometry.lrs, welcome.windows)
