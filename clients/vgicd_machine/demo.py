"""`python -m vgicd_machine.demo`: the whole of it at work, in a few seconds.

A private daemon is started, the tour (a bare-metal AArch64 program) is built and run against it, and the daemon's
final state is shown.  Exit status 0 only if every scenario of the tour has passed; in variant xen, if exactly those
have failed that Xen's own defects make fail, with the text that they lead to, and the summary names these.
"""

from __future__ import annotations

import sys
import time
from typing import Final

import click
from rich.console import Console
from rich.rule import Rule

from vgicd_client import PrivateDaemon, private_daemon
from vgicd_machine import guests
from vgicd_machine.errors import GicLost, MachineError
from vgicd_machine.explained import explained, is_explained
from vgicd_machine.host.console import Verdict
from vgicd_machine.options import failing, geometry, write_now

TIME_LIMIT: Final = 120.0
"""Seconds for the guest; it takes one or two, but in variant xen it waits for what never comes."""

_STATE: Final = (("regs", "GICC", "--vcpu", "0"), ("irqs",), ("lrs",))
"""The commands of vgicctl that show the state at the end."""


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--cpus", type=click.IntRange(1, 8), default=4, show_default=True)
@geometry(spis=64)
@failing
def main(cpus: int, lrs: int, spis: int, variant: str) -> None:
    """Run the tour on a private daemon, and show its console and the final state of the VGIC."""
    from vgicd_machine.gic.socket_port import open_port  # noqa: PLC0415
    from vgicd_machine.run import Outcome, run_image  # noqa: PLC0415 - needs the engine, whose absence is a sentence

    out = Console(highlight=False)
    image = guests.build()
    began = time.monotonic()
    with private_daemon(vcpus=cpus, lrs=lrs, spis=spis, variant=variant) as daemon:
        out.print(Rule(f"{image.name} on {cpus} CPUs, their GIC is process {daemon.pid}"))
        try:
            with open_port(daemon.address) as port:
                outcome: Outcome = run_image(port, image, write_now, cpus=cpus, seconds=TIME_LIMIT)
        except GicLost as error:
            raise _with_its_last_words(error, daemon) from error
        out.print(Rule(f"the final state of the VGIC, {lrs} list registers, variant {variant}"))
        _show_state(daemon.address)
    out.print(Rule(f"{time.monotonic() - began:.1f} s"))
    expected = explained(variant, cpus, lrs)
    for verdict in outcome.verdicts:
        known = is_explained(verdict, variant, cpus, lrs)
        out.print(_summary(verdict, variant, expected.get(verdict.name, ()), known=known), soft_wrap=True)
    failed = [verdict for verdict in outcome.verdicts if not verdict.passed]
    good = (
        bool(outcome.verdicts)
        and all(is_explained(verdict, variant, cpus, lrs) for verdict in failed)
        and {verdict.name for verdict in failed} == set(expected)
        and bool(outcome.status) == bool(expected)
    )
    if good and expected:
        out.print(f"Xen's own defects explain every failure, as expected in variant {variant}.")
    sys.exit(0 if good else outcome.status or 1)


def _summary(verdict: Verdict, variant: str, numbers: tuple[str, ...], *, known: bool) -> str:
    """The line that the guest has written, and what is to be said of it when defects `numbers` make it fail: whether
    it did, and in the way that is `known` of them.
    """
    line = f"{'PASS' if verdict.passed else 'FAIL'} {verdict.name}" + (f": {verdict.why}" if verdict.why else "")
    if not numbers:
        return line
    way = "" if known else "not " if verdict.passed else "in another way than "
    return f"{line} ({way}expected in variant {variant}: {', '.join(numbers)})"


def _show_state(address: str) -> None:
    from vgicd_client.ctl.main import main as vgicctl  # noqa: PLC0415 - slow to import, and only wanted at the end

    sys.stdout.flush()
    for command in _STATE:
        vgicctl(["--address", address, *command], standalone_mode=False)


def _with_its_last_words(error: GicLost, daemon: PrivateDaemon) -> MachineError:
    """`error` with what the daemon has written to standard error, if anything."""
    words = daemon.stderr().strip()
    return GicLost(f"{error}\n{words}" if words else str(error))


if __name__ == "__main__":
    main(prog_name="python -m vgicd_machine.demo")
