"""`vgicctl bridge`: the guest of a stock QEMU, with the daemon as its interrupt controller."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Final

import click

from vgicd_client.ctl.session import ENVIRONMENT, Session, talks

_EPILOG: Final = (
    "The exit status is the guest's own (from its console line `EXIT: STATUS=n`, else 0), or from 120 up the bridge's: "
    "121 the interrupt controller was lost, 122 QEMU did not start, died or does not answer, 123 something is not "
    "installed, 125 the time limit, 126 a guest whose access the bridge cannot carry out."
)
_FILE: Final = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command(epilog=_EPILOG)
@click.option("--connect", "chosen", metavar="ADDRESS", help="a running daemon; as --address")
@click.option("--private", is_flag=True, help=f"a daemon for this run, even if {ENVIRONMENT} names one")
@click.option("--kernel", type=_FILE, help="arm64 Image, ELF or flat binary, as QEMU loads it")
@click.option("--initrd", type=_FILE, help="initial RAM disk for a Linux kernel")
@click.option("--append", metavar="TEXT", help="kernel command line")
@click.option("--dtb", type=_FILE, help="device tree instead of QEMU's own")
@click.option("--memory", type=click.IntRange(16, 8192), default=512, show_default=True, help="MiB, from 0x40000000")
@click.option("--cpu", default="cortex-a57", show_default=True, help="QEMU's CPU model; AArch64 with an EL2")
@click.option(
    "--trap",
    type=click.Choice(("bell", "gdb")),
    default="bell",
    show_default=True,
    help="learn of an access by a wire over qtest, or by a breakpoint of QEMU's gdbstub, which is slower",
)
@click.option("--timeout", type=click.FloatRange(min=0, min_open=True), help="seconds after which to give up")
@click.option("--held", is_flag=True, help="wait for the daemon's answers for ever: a debugger may hold the guest")
@click.option("--reset", "anew", is_flag=True, help="reset the daemon of --connect first; needs role control")
@click.option("--input", "typed", is_flag=True, help="standard input is what is typed into the first serial port")
@click.option("--stats", is_flag=True, help="say at the end how many accesses there were, and how fast")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[-- QEMU ARGUMENTS]...")
@talks
@click.pass_obj
def bridge(
    session: Session,
    chosen: str | None,
    private: bool,
    kernel: Path | None,
    initrd: Path | None,
    append: str | None,
    dtb: Path | None,
    memory: int,
    cpu: str,
    trap: str,
    timeout: float | None,
    held: bool,
    anew: bool,
    typed: bool,
    stats: bool,
    arguments: tuple[str, ...],
) -> None:
    """Run a guest on Debian's unmodified QEMU, machine `virt` with one CPU, and the daemon as its GIC.

    Without an address a private daemon is started. The guest finds the GIC where the daemon has it; QEMU's own, which
    it does not see, passes on its devices' interrupts. QEMU ARGUMENTS are further devices and disks.
    """
    named = chosen or session.address or os.environ.get(ENVIRONMENT)
    if private and (chosen or session.address):
        raise click.UsageError("--private and --connect exclude each other")
    # only here: a client needs neither QEMU nor what runs it
    from vgicd_bridge.command import Options, run  # noqa: PLC0415

    options = Options(
        address=None if private else named,
        kernel=kernel,
        initrd=initrd,
        dtb=dtb,
        append=append,
        megabytes=memory,
        cpu=cpu,
        trap=trap,
        seconds=timeout,
        held=held,
        anew=anew,
        typed=typed,
        stats=stats,
        arguments=arguments,
    )
    sys.exit(run(options))
