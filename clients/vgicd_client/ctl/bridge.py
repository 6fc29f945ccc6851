"""`vgicctl bridge`: the guest of a stock QEMU, with the daemon as its interrupt controller."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Final

import click
from click.shell_completion import CompletionItem

from vgicd_client.ctl import discover
from vgicd_client.ctl.session import ENVIRONMENT, Session

_EPILOG: Final = (
    "The exit status is the guest's own (from its console line `EXIT: STATUS=n`, else 0), 2 for wrong usage, or from "
    "120 up the bridge's: 121 the interrupt controller was lost, 122 QEMU did not start, died or does not answer, 123 "
    "something is not installed, 124 a bad image, initrd or device tree, 125 the time limit, 126 a guest whose access "
    "the bridge cannot carry out, 141 whoever read the console has gone."
)
_FILE: Final = click.Path(dir_okay=False, path_type=Path)
_MARK: Final = "--"


class _Command(click.Command):
    """What is behind `--` is QEMU's, and is in the context's `args`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """The options and IMAGE, which are before `--`."""
        at = args.index(_MARK) if _MARK in args else len(args)
        super().parse_args(ctx, args[:at])
        ctx.args = args[at + 1 :]
        return ctx.args

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        """As they are, and QEMU's arguments."""
        return [*super().collect_usage_pieces(ctx), "[-- QEMU ARGUMENTS...]"]


def _complete_address(_c: click.Context, _p: click.Parameter, incomplete: str) -> list[CompletionItem]:
    return [CompletionItem(address) for address in discover.sockets() if address.startswith(incomplete)]


@click.command(cls=_Command, epilog=_EPILOG)
@click.argument("image", type=_FILE, required=False)
@click.option("--kernel", type=_FILE, metavar="FILE", help="another way to name IMAGE, as QEMU has it")
@click.option(
    *("--connect", "-a", "--address", "chosen"),
    metavar="ADDRESS",
    shell_complete=_complete_address,
    help=f"a running daemon, instead of a private one  [default: {ENVIRONMENT}, if it is set]",
)
@click.option("--private", is_flag=True, help=f"a daemon for this run, even if {ENVIRONMENT} names one")
@click.option("--initrd", type=_FILE, metavar="FILE", help="initial RAM disk for a Linux kernel")
@click.option("--append", metavar="TEXT", help="kernel command line")
@click.option("--dtb", type=_FILE, metavar="FILE", help="device tree instead of QEMU's own")
@click.option(
    "--ram",
    type=click.IntRange(16, 8192),
    default=512,
    show_default=True,
    help="MiB, from 0x40000000; of them QEMU takes only what the guest uses",
)
@click.option("--memory", type=click.IntRange(16, 8192), hidden=True, help="as --ram")
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
@click.option(
    "--input/--no-input",
    "typed",
    help="standard input is what is typed into the first serial port, or is left alone, which is the default",
)
@click.option("--stats", is_flag=True, help="say at the end how many accesses there were, and how fast")
@click.pass_context
def bridge(
    context: click.Context,
    /,
    image: Path | None,
    kernel: Path | None,
    chosen: str | None,
    private: bool,
    initrd: Path | None,
    append: str | None,
    dtb: Path | None,
    ram: int,
    memory: int | None,
    cpu: str,
    trap: str,
    timeout: float | None,
    held: bool,
    anew: bool,
    typed: bool,
    stats: bool,
) -> None:
    """Run IMAGE on Debian's unmodified QEMU, machine `virt` with one CPU, and the daemon as its GIC.

    IMAGE is an ELF, an arm64 Linux Image (also in gzip) or a flat binary, which QEMU loads. Without an address a
    private daemon is started. The guest finds the GIC where the daemon has it; QEMU's own, which it does not see,
    passes on its devices' interrupts. QEMU ARGUMENTS are further devices and disks.
    """
    session = context.ensure_object(Session)
    if session.json:
        raise click.UsageError("there is no JSON of a run: leave --json out")
    if image is not None and kernel is not None:
        raise click.UsageError(f"IMAGE {image} and --kernel {kernel} are two guests; QEMU's arguments come behind --")
    named = chosen or session.address or os.environ.get(ENVIRONMENT)
    if private and (chosen or session.address):
        raise click.UsageError("--private and --connect exclude each other")
    # only here: a client needs neither QEMU nor what runs it
    from vgicd_bridge.command import Options, run  # noqa: PLC0415

    options = Options(
        address=None if private else named,
        image=image or kernel,
        initrd=initrd,
        dtb=dtb,
        append=append,
        megabytes=memory or ram,
        cpu=cpu,
        trap=trap,
        seconds=timeout,
        held=held,
        anew=anew,
        typed=typed,
        stats=stats,
        arguments=tuple(context.args),
    )
    sys.exit(run(options))
