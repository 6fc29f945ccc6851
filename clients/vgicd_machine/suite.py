"""`python -m vgicd_machine.suite`: the bare-metal suite against a daemon, with every geometry that is asked for.

Exit status 0 only if every scenario of every run has passed; in variant xen, if exactly those have failed that Xen's
own defects make fail, each with the text that they lead to.  Each of these is named with its numbers and why.
"""

from __future__ import annotations

import sys
import time
from typing import Final

import click

from vgicd_client import private_daemon
from vgicd_machine import guests
from vgicd_machine.explained import explained, is_explained, rows
from vgicd_machine.gic.surviving import Surviving
from vgicd_machine.host.console import Verdict
from vgicd_machine.options import failing

GUEST: Final = "suite"
TIME_LIMIT: Final = 120.0
"""Seconds for a run; it takes one or two, in variant xen with eight CPUs ten."""


class _Numbers(click.ParamType[tuple[int, ...]]):
    """Whole numbers with commas between them, each from 1 to `most`."""

    name = "numbers"

    def __init__(self, most: int) -> None:
        self._most = most

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        """`value` as numbers; a usage error if one is none, or beyond."""
        texts = str(value).split(",")
        if not all(text.isdecimal() and 1 <= int(text) <= self._most for text in texts):
            self.fail(f"{value!r} is not a list of numbers from 1 to {self._most}, such as 1,4.", param, ctx)
        return tuple(map(int, texts))


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--cpus", type=_Numbers(8), default="1,2,4,8", show_default=True)
@click.option("--lrs", type=_Numbers(64), default="1,2,4,16", show_default=True, help="List registers per CPU.")
@click.option("--variant", type=click.Choice(["correct", "xen"]), default="correct", show_default=True)
@failing
def main(cpus: tuple[int, ...], lrs: tuple[int, ...], variant: str) -> None:
    """Run the suite on a private daemon for each number of CPUs and of list registers."""
    good = True
    for count in cpus:
        for registers in lrs:
            began = time.monotonic()
            verdicts = _run(count, registers, variant)
            failed = sum(not verdict.passed for verdict in verdicts)
            took = time.monotonic() - began
            click.echo(f"{count} CPUs, {registers} LRs: {len(verdicts) - failed} passed, {failed} failed, {took:.1f} s")
            lines, as_expected = report(verdicts, variant, count, registers)
            for line in lines:
                click.echo(f"  {line}")
            good = good and as_expected
    if good and variant != "correct":
        click.echo(f"Xen's own defects explain every failure, as expected in variant {variant}.")
    sys.exit(0 if good else 1)


def _run(cpus: int, lrs: int, variant: str) -> tuple[Verdict, ...]:
    from vgicd_machine.gic.socket_port import open_port  # noqa: PLC0415
    from vgicd_machine.run import run_image  # noqa: PLC0415 - needs the engine, whose absence is a sentence

    image = guests.build(GUEST)
    with private_daemon(vcpus=cpus, lrs=lrs, variant=variant) as daemon, open_port(daemon.address) as port:
        return run_image(Surviving(port), image, lambda _: None, cpus=cpus, seconds=TIME_LIMIT).verdicts


def report(verdicts: tuple[Verdict, ...], variant: str, cpus: int, lrs: int) -> tuple[list[str], bool]:
    """A line for each failure, and for each that was expected and is none; and whether all is as expected."""
    numbers = explained(variant, cpus, lrs, GUEST)
    sentences: dict[str, list[str]] = {}
    for row in rows(variant, cpus, lrs, GUEST):
        sentences.setdefault(row.scenario, []).append(row.why)
    lines, good = [], bool(verdicts)
    for verdict in verdicts:
        name, passed, why = verdict
        known = is_explained(verdict, variant, cpus, lrs, GUEST)
        if known:
            lines.append(f"{', '.join(numbers[name])}: {name}: {'; '.join(sentences[name])} ({why})")
        elif passed and name in numbers:
            lines.append(f"PASS {name}, which {', '.join(numbers[name])} should have made fail")
        elif not passed:
            other = f" (not what {', '.join(numbers[name])} would make it say)" if name in numbers else ""
            lines.append(f"FAIL {name}: {why}{other}")
        good = good and (known or (passed and name not in numbers))
    return lines, good and numbers.keys() <= {verdict.name for verdict in verdicts}


if __name__ == "__main__":
    main(prog_name="python -m vgicd_machine.suite")
