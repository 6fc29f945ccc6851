"""`vgicctl run IMAGE`, which is also `python -m vgicd_machine`: its options, and the help with every exit status."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import click
from click.core import ParameterSource

from vgicd_client.ctl.session import ENVIRONMENT, Session
from vgicd_machine.errors import CannotResume, statuses
from vgicd_machine.host.keyboard import HELP
from vgicd_machine.options import GEOMETRY, QEMUS_SPIS, Number, fail, failing, geometry
from vgicd_machine.settings import Settings

_RESUME = (
    "--resume is not possible yet: a run's CPUs, memory and devices cannot be saved, only the daemon's side of it "
    "(`vgicctl snapshot`), and both belong to one moment. Run IMAGE from its beginning"
)


class _Command(click.Command):
    """Its help ends with the exit statuses, from where they are declared."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The table of exit statuses."""
        with formatter.section("Exit status"):
            own = [("0 to 119", "the guest's own: its console line EXIT: STATUS=n, else 0 when it switches off")]
            formatter.write_dl([*own, ("2", "wrong usage"), *statuses()])


def _refuse_to_resume(_context: click.Context, _parameter: click.Parameter, value: str | None) -> None:
    if value is not None:
        fail(CannotResume.status, _RESUME)


_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command(cls=_Command, context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("image", type=_FILE)
@click.option("--cpus", type=click.IntRange(1, 8), help="Default: as many as the daemon has vCPUs, or 1.")
@click.option("--ram", type=click.IntRange(1, 2048), default=128, show_default=True, help="MiB, from 0x40000000.")
@click.option("--initrd", type=_FILE, metavar="FILE", help="An initial RAM disk.")
@click.option("--append", metavar="TEXT", help="The kernel's command line.")
@click.option("--dtb", type=_FILE, metavar="FILE", help="A device tree of your own; memory and /chosen are put in.")
@click.option("--dump-dtb", type=_FILE, metavar="FILE", help="Write the device tree there, and do not run.")
@click.option(
    "--firmware", "--bios", is_flag=True, help="IMAGE is firmware: it goes to address 0, and is entered there."
)
@click.option("--load-address", type=Number(), help="Of a flat binary. Default: 512 KiB into RAM.")
@click.option(
    "-a",
    "--address",
    "--connect",
    "connect",
    metavar="ADDRESS",
    help=f"A running daemon, instead of a private one.  [default: {ENVIRONMENT}]",
)
@click.option(
    "--private",
    is_flag=True,
    help=f"A daemon of this run's own, which ends with it, even if {ENVIRONMENT} names one. Else the default.",
)
@click.option("--in-process", is_flag=True, help="No daemon: the interrupt controller in this process.")
@geometry(QEMUS_SPIS)
@click.option(
    "--reset", "anew", is_flag=True, help="Reset the daemon of --connect first, as a guest expects. Needs role control."
)
@click.option(
    "--on-reset",
    type=click.Choice(["exit", "reboot"]),
    default="exit",
    show_default=True,
    help="What to do when the guest asks for a reset. To reboot needs role control.",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the order of CPUs' turns.")
@click.option(
    "--deterministic", is_flag=True, help="Refuse what would make two runs differ: --paced, and keys from a terminal."
)
@click.option("--timeout", type=click.FloatRange(min=0, min_open=True), help="Seconds after which to give up.")
@click.option(
    "--patience",
    type=click.FloatRange(min=0),
    default=0,
    help="Seconds that others have to raise a line when nothing else can wake the guest.",
)
@click.option(
    "--held", is_flag=True, help="Wait for the daemon's answers for ever: a debugger may hold the guest at an access."
)
@click.option(
    "--paced/--no-paced",
    default=None,
    help="Let the guest's time not run ahead of the clock, or do: what it waits for is a person, or nobody. "
    "Default: paced when keys come from a terminal.",
)
@click.option(
    "--input/--no-input",
    "typed",
    default=None,
    help=f"Standard input is what is typed into the UART, or is left alone. Default: only if it and standard output "
    f"are a terminal; there {HELP}.",
)
@click.option("--log", type=_FILE, metavar="FILE", help="Write every operation of the interrupt controller there.")
@click.option("--audit", is_flag=True, help="Judge how the guest was interrupted; a violation is a status of its own.")
@click.option("--stats", is_flag=True, help="Say at the end what the run did, on standard error.")
@click.option("--json", is_flag=True, help="--stats and --audit as one JSON object, a line of standard error.")
@click.option(
    "--gdb",
    metavar="ADDRESS",
    help="Serve gdb at unix:PATH or tcp:HOST:PORT: it sees the CPUs; the interrupt controller is the daemon's to show.",
)
@click.option("--gdb-wait", is_flag=True, help="Do not begin before a gdb is there and says so.")
@click.option(
    "--resume",
    metavar="FILE",
    is_eager=True,
    expose_value=False,
    callback=_refuse_to_resume,
    help="Refused: a machine cannot be saved yet.",
)
@click.pass_context
@failing
def main(context: click.Context, /, **given: Any) -> NoReturn:
    """Run IMAGE on an AArch64 machine like QEMU's virt, whose interrupt controller is a vgicd daemon.

    IMAGE is an ELF, an arm64 Linux Image (also in gzip), firmware, or a flat binary; it finds the device tree's
    address in X0. Its console is standard output. Without an address a private daemon is started for it, with the
    geometry given.
    """
    settings = Settings(**given)
    session = context.find_object(Session)
    if session is not None:  # what stands before the command's name
        settings = replace(settings, connect=settings.connect or session.address, json=settings.json or session.json)
    settings.check()
    shaped = [f"--{name}" for name in GEOMETRY if context.get_parameter_source(name) is ParameterSource.COMMANDLINE]
    settings = settings.connected(os.environ.get(ENVIRONMENT), shaped)
    from vgicd_machine.perform import perform  # noqa: PLC0415 - needs the engine, whose absence is a sentence

    sys.exit(perform(settings))
