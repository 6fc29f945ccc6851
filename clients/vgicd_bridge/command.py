"""`vgicctl bridge`: a run from the command line, its words and its exit status."""

from __future__ import annotations

import os
import select
import signal
import sys
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Final

import click

from vgicd_bridge import image
from vgicd_bridge.bridge import Bridge, Trap
from vgicd_bridge.emulator import RAM_BASE, Emulator, loads_guest, refused_argument, require_programs
from vgicd_bridge.errors import STATUS_BASE, BridgeError, EmulatorLost, TimeLimit
from vgicd_bridge.gic import PATIENCE, Gic, open_gic
from vgicd_client import AddressError, ClientError, private_daemon
from vgicd_machine.errors import MachineError
from vgicd_machine.files import contents
from vgicd_machine.gic.socket_port import reset
from vgicd_machine.host.console import Console

TRAPS: Final = tuple(trap.value for trap in Trap)
SPIS: Final = 256  # of machine `virt`
_INTERRUPTED: Final = 130
_BY_SIGNAL: Final = 128  # plus its number, as a shell says it
_BROKEN_PIPE: Final = _BY_SIGNAL + signal.SIGPIPE


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line asks for; `address` None: a private daemon."""

    address: str | None
    image: Path | None
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
        given = (("-kernel", self.image), ("-initrd", self.initrd), ("-dtb", self.dtb), ("-append", self.append))
        return [*(str(part) for name, value in given if value is not None for part in (name, value)), *self.arguments]


def run(options: Options) -> int:
    """Do it; the exit status. Raises `click.UsageError` without a guest, and for what cannot be passed on to QEMU."""
    if (why := refused_argument(options.arguments)) is not None:
        raise click.UsageError(why)
    if options.image is None and not loads_guest(options.arguments):
        raise click.UsageError(
            "there is no guest: name its IMAGE, an ELF, an arm64 Linux Image or a flat binary, "
            "as in `vgicctl bridge program.elf`"
        )
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
    except KeyboardInterrupt as interrupt:
        return _fail(_INTERRUPTED, str(interrupt) or "interrupted")
    except BrokenPipeError:  # whoever read the console has gone
        return _BROKEN_PIPE
    except OSError as error:
        return _fail(STATUS_BASE, f"{error.filename or 'input/output'}: {error.strerror or error}")


def _run(options: Options) -> int:
    patience = None if options.held else PATIENCE
    console = Console()
    if options.image is not None:
        image.check(options.image, RAM_BASE, options.megabytes << 20)
    for path, what in ((options.initrd, "initrd"), (options.dtb, "device tree")):
        if path is not None:
            contents(path, what)
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
        except TimeLimit as limit:
            raise TimeLimit(f"{limit}{_where(bridge)}") from None
        except KeyboardInterrupt:
            raise KeyboardInterrupt(f"interrupted{_where(bridge)}") from None
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


def _where(bridge: Bridge) -> str:
    """Where the guest is, to be put behind another sentence, which comes without it if QEMU does not tell."""
    try:
        return f", {bridge.where()}"
    except EmulatorLost as error:
        return f" ({error})"


def _into(console: Console) -> Callable[[bytes], None]:
    def transmit(data: bytes) -> None:
        for byte in data:
            console.transmit(byte)
        if sys.stdout is not None:
            _write(sys.stdout.fileno(), data)

    return transmit


def _write(descriptor: int, data: bytes) -> None:
    """At once and all of it: what is buffered would fail again when the interpreter ends. Raises `OSError`."""
    while data:
        try:
            data = data[os.write(descriptor, data) :]
        except BlockingIOError:  # made so by somebody who has it, too
            select.select((), (descriptor,), ())


def _say(text: str) -> None:
    """On standard error; where that takes nothing, there is nobody to be told, and the run is what counts."""
    if sys.stderr is not None:
        with suppress(OSError):
            _write(sys.stderr.fileno(), f"vgicctl bridge: {text}\n".encode(errors="surrogateescape"))


def _fail(status: int, text: object) -> int:
    _say(str(text))
    return status


def _on_end(number: int, _frame: FrameType | None) -> None:
    sys.exit(_BY_SIGNAL + number)
