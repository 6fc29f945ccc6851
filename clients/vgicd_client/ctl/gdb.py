"""`vgicctl gdb`: gdb, connected to the daemon, with the extension loaded."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from typing import Final, NoReturn

import click

from vgicd_client import addresses
from vgicd_client.addresses import Address
from vgicd_client.ctl.rsp import architecture, gdb_takes
from vgicd_client.ctl.session import (
    ENVIRONMENT,
    EXIT_FAILED,
    EXIT_UNREACHABLE,
    RETRY_SECONDS,
    Session,
    fail,
    only_daemon,
    talks,
)
from vgicd_client.errors import AddressError

EXTENSION: Final = "vgicd_gdb.py"
_REACH_SECONDS: Final = 2.0
_PACKAGES: Final = {"gdb": "gdb", "gdb-multiarch": "gdb-multiarch"}
_SYMBOLS: Final = "target:/vgicd.elf"


@click.command()
@click.option("--gdb", "program", default="gdb", show_default=True, metavar="PROGRAM", help="which gdb to run")
@click.option(
    "--rsp",
    metavar="ADDRESS",
    help="the daemon's gdb socket, a path or HOST:PORT  [default: NAME.gdb beside NAME.sock]",
)
@click.option(
    "--symbols/--no-symbols",
    default=None,
    help="have gdb load the daemon's symbols, or not  [default: unless ARGUMENTS name a program]",
)
@click.option("--print-init", is_flag=True, help="print the lines for a gdbinit that load the extension, and end")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[-- ARGUMENTS]...")
@talks
@click.pass_obj
def gdb(
    session: Session,
    program: str,
    rsp: str | None,
    symbols: bool | None,
    print_init: bool,
    arguments: tuple[str, ...],
) -> None:
    """Run gdb on the daemon, with the vgic commands; ARGUMENTS are gdb's.

    The daemon must serve gdb: start it with `vgicd serve --gdb`. To look at a daemon while gdb debugs its guest, load
    the extension there instead: --print-init says how.
    """
    if print_init:
        click.echo(f"# the vgic commands in every gdb; `vgic connect` reaches the daemon\nsource {extension()}")
        return
    path = _program(program)
    daemon = session.address or os.environ.get(ENVIRONMENT)
    if daemon is None and rsp is None:
        daemon = only_daemon()
    where = addresses.parse_gdb(rsp) if rsp is not None else beside(addresses.parse(daemon or ""))
    shown = _check(where, session.wait)
    if shown and not gdb_takes(path, shown):
        click.echo(
            f"vgicctl: {program} does not know {shown}, the architecture that the daemon shows gdb: use gdb-multiarch "
            f"(vgicctl gdb --gdb gdb-multiarch; Debian's package gdb-multiarch), or start the daemon with another "
            "--gdb-arch",
            err=True,
        )
    environment = os.environ | ({ENVIRONMENT: daemon} if daemon else {})
    _become(path, [program, *options(where, symbols), *arguments], environment)


def extension() -> Path:
    """The file that gdb sources: of a checkout, or of the installed package."""
    package = Path(__file__).resolve().parents[1]
    checkout, installed = package.parent / "gdb" / EXTENSION, package / "gdb" / EXTENSION
    found = checkout if checkout.is_file() else installed
    if not found.is_file():
        fail(EXIT_FAILED, f"the extension is not where it was installed, {found}: install vgicd again")
    return found


def beside(daemon: Address) -> Address:
    """The gdb socket that a daemon has unless it is told otherwise: NAME.gdb beside NAME.sock.

    Raises AddressError for a daemon on TCP, which has none.
    """
    if daemon.transport == "tcp":
        raise AddressError(f"{daemon} has no gdb socket beside it: name one with --rsp")
    return Address("unix", path=str(Path(daemon.path).absolute().with_suffix(".gdb")))


def options(where: Address, symbols: bool | None) -> list[str]:
    """gdb's arguments: load the extension, then connect; `symbols` None leaves it to gdb what symbols it loads."""
    remote = str(where).removeprefix("tcp:") if where.transport == "tcp" else os.path.abspath(where.path)
    given = ["-iex", f"source {extension()}"]
    if symbols is False:
        given += ["-iex", "set remote pid-to-exec-file-packet off"]  # so gdb does not ask which program is debugged
    given += ["-ex", f"target remote {remote}"]
    if symbols:
        given += ["-ex", f"add-symbol-file {_SYMBOLS}"]
    return given


def _program(program: str) -> str:
    path = shutil.which(program)
    if path is None:
        package = _PACKAGES.get(Path(program).name)
        advice = f"install Debian's package {package}" if package else "name another with --gdb"
        fail(EXIT_FAILED, f"{program} is not on PATH: {advice}")
    return path


def _check(where: Address, wait: float) -> str:
    """The architecture shown there, "" if none is told; after `wait` seconds without anybody, ends with a sentence."""
    deadline = time.monotonic() + wait
    while True:
        try:
            sock = addresses.open_socket(where, _REACH_SECONDS)
        except OSError as error:
            if time.monotonic() >= deadline:
                fail(
                    EXIT_UNREACHABLE,
                    f"nobody serves gdb at {where} ({error.strerror or error}): start the daemon with "
                    "`vgicd serve --gdb`, or name its gdb socket with --rsp",
                )
            time.sleep(RETRY_SECONDS)
        else:
            with sock:
                return architecture(sock, _REACH_SECONDS)


def _become(path: str, command: list[str], environment: dict[str, str]) -> NoReturn:
    try:
        os.execve(path, command, environment)
    except OSError as error:
        fail(EXIT_FAILED, f"{path} cannot be run: {error.strerror}")
