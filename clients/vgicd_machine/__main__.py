"""`python -m vgicd_machine IMAGE`: run an AArch64 program whose interrupt controller is a vgicd daemon.

The exit status is the guest's own (from its console line `EXIT: STATUS=n`, else 0), or from 120 up the machine's:
121 the interrupt controller was lost, 122 deadlock, 123 something is not installed, 124 a bad image, 125 the time
limit, 126 a guest that cannot be executed.
"""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path

import click

from vgicd_client import private_daemon
from vgicd_machine.errors import MachineError
from vgicd_machine.gic.port import GicPort
from vgicd_machine.host.keyboard import Keyboard
from vgicd_machine.options import failing, geometry, write_now


class Number(click.ParamType[int]):
    """A whole number, decimal or with a prefix such as 0x."""

    name = "integer"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """`value` as an int; a usage error if it is none."""
        try:
            return int(str(value), 0)
        except ValueError:
            self.fail(f"{value!r} is not a whole number.", param, ctx)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("image", type=click.Path(path_type=Path))
@click.option("--cpus", type=click.IntRange(1, 8), help="Default: as many as the daemon has vCPUs, or 1.")
@click.option("--connect", "address", metavar="ADDRESS", help="A running daemon, instead of a private one.")
@click.option("--in-process", is_flag=True, help="No daemon: the interrupt controller in this process.")
@geometry
@click.option("--ram", type=click.IntRange(1, 2048), default=128, show_default=True, help="MiB, from 0x40000000.")
@click.option("--load-address", type=Number(), help="Of a flat binary. Default: 512 KiB into RAM.")
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
    "--paced", is_flag=True, help="Let the guest's time not run ahead of the clock: what it waits for is a person."
)
@click.option(
    "--reset", "anew", is_flag=True, help="Reset the daemon of --connect first, as a guest expects. Needs role control."
)
@click.option("--input", "typed", is_flag=True, help="Standard input is what is typed into the UART.")
@failing
def main(
    image: Path,
    cpus: int | None,
    address: str | None,
    in_process: bool,
    lrs: int,
    spis: int,
    variant: str,
    ram: int,
    load_address: int | None,
    timeout: float | None,
    patience: float,
    held: bool,
    paced: bool,
    anew: bool,
    typed: bool,
) -> None:
    """Run IMAGE, an AArch64 ELF or flat binary, with its console on standard output.

    Without --connect a private daemon is started for it, with the geometry given.
    """
    if address is not None and in_process:
        raise click.UsageError("--connect and --in-process exclude each other.")
    if anew and address is None:
        raise click.UsageError("--reset is for a daemon that has served before, which --connect names.")
    from vgicd_machine.host.pace import Pace  # noqa: PLC0415 - only for a run
    from vgicd_machine.run import run_image  # noqa: PLC0415 - needs the engine, whose absence is a sentence, not a trace

    with ExitStack() as stack:
        port: GicPort
        if in_process:
            from vgicd_machine.gic.domain_port import DomainPort  # noqa: PLC0415 - see there

            port = DomainPort(vcpus=cpus or 1, lrs=lrs, spis=spis, variant=variant)
        else:
            from vgicd_machine.gic.socket_port import TIMEOUT, open_port, reset  # noqa: PLC0415 - not needed in process

            patient = None if held else TIMEOUT
            if anew and address is not None:
                reset(address, patient)
            if address is None:
                address = stack.enter_context(
                    private_daemon(vcpus=cpus or 1, lrs=lrs, spis=spis, variant=variant)
                ).address
            port = remote = stack.enter_context(open_port(address, patient))
            if left := remote.left_over():
                click.echo(
                    f"vgicd_machine: warning: {address} has served before ({left}), and a guest expects an interrupt "
                    "controller as after reset: `vgicctl reset`, or --reset here",
                    err=True,
                )
            cpus = cpus or remote.vcpus
            if cpus > remote.vcpus:
                raise MachineError(f"{cpus} CPUs, but the domain at {address} has {remote.vcpus} vCPUs")
        outcome = run_image(
            port,
            image,
            write_now,
            cpus=cpus or 1,
            ram_size=ram << 20,
            address=load_address,
            seconds=timeout,
            patience=patience,
            keyboard=Keyboard(sys.stdin.fileno()) if typed else None,
            pace=Pace() if paced else None,
        )
    if outcome.reset:
        click.echo("vgicd_machine: the guest asked for a reset, which ends the run", err=True)
    sys.exit(outcome.status)


if __name__ == "__main__":
    main(prog_name="python -m vgicd_machine")
