"""The command line: one group, one module for each subject."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from vgicd_client.ctl import (
    access,
    bridge,
    console,
    dump,
    exports,
    gdb,
    info,
    irqs,
    listing,
    registers,
    renewal,
    run,
    snapshot,
    switching,
    trace,
    watch,
)
from vgicd_client.ctl.session import EXIT_FAILED, Session, fail, shared_options

EPILOG = (
    "Exit codes: 0 done; 1 a difference was found, or the command failed; 2 wrong usage, or a file that is not what "
    "it should be; 3 no daemon could be reached, or it was lost; 4 the daemon refused the request."
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]}, epilog=EPILOG)
@click.version_option(package_name="vgicd", prog_name="vgicctl")
@shared_options
@click.pass_context
def main(context: click.Context) -> None:
    """Look at and drive a running vgicd, and replay recorded traces."""
    context.ensure_object(Session)


@main.command()
@click.argument("shell", type=click.Choice(("bash", "zsh", "fish")))
def completion(shell: str) -> None:
    """Print SHELL's completion script, as in: eval "$(vgicctl completion bash)"."""
    complete = get_completion_class(shell)
    if complete is None:
        fail(EXIT_FAILED, f"this click has no completion for {shell}")
    click.echo(complete(main, {}, "vgicctl", "_VGICCTL_COMPLETE").source())


for command in (
    info.info,
    info.stats,
    registers.regs,
    irqs.irq,
    irqs.irqs,
    irqs.lrs,
    access.read,
    access.write,
    access.peek,
    switching.mode,
    switching.enter,
    switching.exit_guest,
    renewal.time,
    renewal.reset,
    dump.dump,
    snapshot.snapshot,
    watch.watch,
    console.console,
    gdb.gdb,
    run.run,
    bridge.bridge,
    exports.gdb_symbols,
    exports.svd,
    trace.trace,
    listing.list_daemons,
):
    main.add_command(command)


if __name__ == "__main__":
    main()
