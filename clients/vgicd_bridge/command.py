"""`vgicctl bridge`: a run from the command line, its words and its exit status."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Final

import click

from vgicd_bridge.bridge import Bridge, Trap
from vgicd_bridge.emulator import Emulator, refused_argument, require_programs
from vgicd_bridge.errors import STATUS_BASE, BridgeError
from vgicd_bridge.gic import PATIENCE, Gic, open_gic
from vgicd_client import AddressError, ClientError, private_daemon
from vgicd_machine.errors import MachineError
from vgicd_machine.gic.socket_port import reset
from vgicd_machine.host.console import Console

TRAPS: Final = tuple(trap.value for trap in Trap)
SPIS: Final = 256  # of machine `virt`
_INTERRUPTED: Final = 130
_BY_SIGNAL: Final = 128  # plus its number, as a shell says it


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line asks for; `address` None: a private daemon."""

    address: str | None
    kernel: Path | None
    initrd: Path | None
    dtb: Path | None
    append: str | None
    megabytes: int
    cpu: str
    trap: str
    seconds: float | None
    held: bool
    anew: bool
    typed: bool
    stats: bool
    arguments: tuple[str, ...]

    def qemu(self) -> list[str]:
        """The arguments for QEMU that say what to boot, and those that were passed on."""
        given = (("-kernel", self.kernel), ("-initrd", self.initrd), ("-dtb", self.dtb), ("-append", self.append))
        return [*(str(part) for name, value in given if value is not None for part in (name, value)), *self.arguments]


def run(options: Options) -> int:
    """Do it; the exit status. Raises `click.UsageError` for what cannot be passed on to QEMU."""
    if (why := refused_argument(options.arguments)) is not None:
        raise click.UsageError(why)
    if options.anew and options.address is None:
        raise click.UsageError("--reset is for a daemon that has served before, which --connect names")
    if options.typed and sys.stdin is None:
        raise click.UsageError("--input needs a standard input, and it is closed")
    for number in (signal.SIGTERM, signal.SIGHUP):  # so that what was started is ended
        if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup
            signal.signal(number, _on_end)
    try:
        return _run(options)
    except (BridgeError, MachineError) as error:
        return _fail(error.status, error)
    except AddressError as error:
        return _fail(2, error)
    except ClientError as error:
        return _fail(STATUS_BASE, error)
    except KeyboardInterrupt:
        return _fail(_INTERRUPTED, "interrupted")


def _run(options: Options) -> int:
    patience = None if options.held else PATIENCE
    console = Console(write=None if sys.stdout is None else sys.stdout.buffer.write)
    require_programs()
    with ExitStack() as stack:
        address = options.address
        if address is None:
            address = stack.enter_context(private_daemon(vcpus=1, spis=SPIS)).address
            _say(f"the interrupt controller is {address}")
        elif options.anew:
            reset(address, patience)
        gic = stack.enter_context(open_gic(address, patience))
        _look_at(gic, address)
        emulator = stack.enter_context(Emulator(options.qemu(), megabytes=options.megabytes, cpu=options.cpu))
        bridge = Bridge(emulator, gic, _into(console), trap=Trap(options.trap))
        try:
            ending = bridge.run(seconds=options.seconds, keyboard=sys.stdin.fileno() if options.typed else None)
        finally:
            console.flush()
            if options.stats:
                for line in bridge.statistics.lines(bridge.devices.signalled):
                    _say(line)
    if ending != "guest-shutdown":
        _say(f"the machine has ended by {ending}, not by the guest's power off")
    return min(console.status or 0, STATUS_BASE - 1)


def _look_at(gic: Gic, address: str) -> None:
    if gic.vcpus > 1:
        _say(
            f"{address} has {gic.vcpus} vCPUs, of which the guest has the first only: stock QEMU allows the bridge one"
        )
    if gic.in_use:
        _say(
            f"warning: {address} has served before, and a guest expects an interrupt controller as after reset: "
            "`vgicctl reset`, or --reset here"
        )


def _into(console: Console) -> Callable[[bytes], None]:
    def transmit(data: bytes) -> None:
        for byte in data:
            console.transmit(byte)
        if sys.stdout is not None:
            sys.stdout.buffer.flush()

    return transmit


def _say(text: str) -> None:
    click.echo(f"vgicctl bridge: {text}", err=True)


def _fail(status: int, text: object) -> int:
    _say(str(text))
    return status


def _on_end(number: int, _frame: FrameType | None) -> None:
    sys.exit(_BY_SIGNAL + number)
