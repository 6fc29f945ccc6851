"""A stock QEMU as a child process: machine `virt` with one CPU, stopped before its first instruction.

Its memory is shared with this process, and has 2 MiB more than the guest is told of: the stub's.  The child is ended by
its process id with the block that uses it, and dies with this process if that is killed.
"""

from __future__ import annotations

import mmap
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from vgicd_bridge.channel import Channel, Listener
from vgicd_bridge.control import Control
from vgicd_bridge.debugger import Debugger
from vgicd_bridge.devicetree import blobs, memory_size_at
from vgicd_bridge.errors import EmulatorLost, MissingPart
from vgicd_bridge.wires import Wires

PROGRAM: Final = "qemu-system-aarch64"
CPU: Final = "cortex-a57"
RAM_BASE: Final = 0x40000000
HIDDEN: Final = 2 << 20
"""Bytes of RAM above the guest's."""

_DIE_WITH_PARENT: Final = ("setpriv", "--pdeathsig", "KILL")  # replaces itself by QEMU: the pid is QEMU's
_START_SECONDS: Final = 20.0
_STOP_SECONDS: Final = 2.0
_LOOK_SECONDS: Final = 0.2
_TAIL: Final = 2000
_OURS: Final = {
    "-M": "the machine",
    "-machine": "the machine",
    "-smp": "one CPU",
    "-cpu": "the CPU's model (--cpu)",
    "-m": "the memory (--ram)",
    "-accel": "the accelerator",
    "-enable-kvm": "the accelerator",
    "-S": "when the machine starts",
    "-s": "the gdbstub",
    "-gdb": "the gdbstub",
    "-qtest": "the qtest socket",
    "-serial": "the first serial port",
    "-nographic": "the first serial port",
    "-daemonize": "the process",
    "-no-shutdown": "when QEMU ends",
    "-kernel": "the guest (IMAGE)",
    "-initrd": "the initial RAM disk (--initrd)",
    "-append": "the kernel's command line (--append)",
    "-dtb": "the device tree (--dtb)",
    "-bios": "the way of booting (IMAGE)",
    "-pflash": "the way of booting (IMAGE)",
}


def refused_argument(arguments: Sequence[str]) -> str | None:
    """Why QEMU's `arguments` cannot be passed on; None if they can."""
    for argument in arguments:
        if (what := _OURS.get(argument.replace("--", "-", 1))) is not None:
            return f"{argument}: the bridge itself chooses {what}"
    return None


def loads_guest(arguments: Sequence[str]) -> bool:
    """Whether QEMU's `arguments` have it load something into memory (`-device loader,...`), which may be a guest."""
    return any(argument.partition(",")[0] in ("loader", "driver=loader") for argument in arguments)


def require_programs() -> None:
    """Raises `MissingPart` if what the bridge starts is not installed."""
    for program, package in ((PROGRAM, "qemu-system-arm"), (_DIE_WITH_PARENT[0], "util-linux")):
        if not shutil.which(program):
            raise MissingPart(f"{program} is not installed: it is in Debian's package {package}")


class Emulator:
    """A started QEMU. A context manager: leaving it ends QEMU.

    `memory` is all of its RAM, from `RAM_BASE`; the guest's part has `size` bytes.  Raises `MissingPart` when it is not
    installed and `EmulatorLost` when it does not start.
    """

    def __init__(self, arguments: Sequence[str], *, megabytes: int, cpu: str = CPU) -> None:
        self.size = megabytes << 20
        self._stack = ExitStack()
        try:
            self._start(arguments, cpu)
        except EmulatorLost as error:
            why = self.lost(error)
            self._stack.close()
            raise why from error
        except BaseException:
            self._stack.close()
            raise

    def _start(self, arguments: Sequence[str], cpu: str) -> None:
        require_programs()
        folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="vgicd-bridge-")))
        whole = self.size + HIDDEN
        descriptor = os.memfd_create("guest")
        self._stack.callback(os.close, descriptor)
        os.truncate(descriptor, whole)
        self._descriptor = descriptor
        self.memory = self._stack.enter_context(mmap.mmap(descriptor, whole))
        listeners = [self._listen(folder / name) for name in ("qtest", "qmp", "gdb", "console")]
        sockets = {one.path.name: one.path for one in listeners}
        self._log = folder / "log"
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [
                    *(*_DIE_WITH_PARENT, PROGRAM, "-no-user-config", "-nodefaults", "-display", "none"),
                    *("-machine", "virt,gic-version=2,virtualization=on,memory-backend=ram"),
                    *(
                        "-object",
                        f"memory-backend-file,id=ram,share=on,size={whole},mem-path=/proc/self/fd/{descriptor}",
                    ),
                    *("-m", f"{whole >> 20}M", "-accel", "tcg", "-cpu", cpu, "-smp", "1", "-S", "-no-reboot"),
                    *("-qtest", f"unix:{sockets['qtest']}", "-qtest-log", os.devnull),
                    *("-qmp", f"unix:{sockets['qmp']}"),
                    *("-chardev", f"socket,id=vgicd-gdb,path={sockets['gdb']}", "-gdb", "chardev:vgicd-gdb"),
                    *("-chardev", f"socket,id=vgicd-console,path={sockets['console']}"),
                    *("-serial", "chardev:vgicd-console"),
                    *arguments,
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(descriptor,),
                process_group=0,  # Ctrl-C is the bridge's, which asks QEMU where the guest is before it ends it
            )
        self._stack.callback(self._kill)
        qtest, qmp, gdb, self.console = (self._accept(one) for one in listeners)
        for channel in (qtest, qmp, gdb):
            channel.beside(self.console)
        self.control = Control(qmp)
        self.wires = Wires(qtest)
        self.wires.attach(self.control.cpu())
        self.debugger = Debugger(gdb)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def hide_memory(self) -> None:
        """Have the device tree tell the guest of `size` bytes of RAM only."""
        for start, end in self._written():
            data = self.memory[start:end]
            for at in blobs(data):
                if (found := memory_size_at(data[at:], RAM_BASE, self.size + HIDDEN)) is not None:
                    place = start + at + found
                    self.memory[place : place + 8] = self.size.to_bytes(8, "big")

    def _written(self) -> list[tuple[int, int]]:
        """The parts of RAM that hold anything; reading the others would allocate them."""
        parts = []
        at = 0
        while at < self.size:
            try:
                at = os.lseek(self._descriptor, at, os.SEEK_DATA)
            except OSError:  # ENXIO: nothing more
                break
            end = os.lseek(self._descriptor, at, os.SEEK_HOLE)
            parts.append((at, end))
            at = end
        return parts

    def lost(self, error: EmulatorLost) -> EmulatorLost:
        """`error`, with what QEMU said and how it ended, if it did."""
        try:
            status = self.process.wait(_LOOK_SECONDS)
        except subprocess.TimeoutExpired:
            return error
        return EmulatorLost(f"{_ending(status)}{self._said()}")

    def _listen(self, path: Path) -> Listener:
        listener = Listener(path)
        self._stack.callback(listener.close)
        return listener

    def _accept(self, listener: Listener) -> Channel:
        deadline = time.monotonic() + _START_SECONDS
        while (channel := listener.accept(_LOOK_SECONDS)) is None:
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise EmulatorLost(f"QEMU did not connect to the bridge within {_START_SECONDS:.0f} s{self._said()}")
        self._stack.callback(channel.close)
        return channel

    def _said(self) -> str:
        text = self._log.read_text("utf-8", "replace")[-_TAIL:].strip()
        return f": {text}" if text else ""

    def _kill(self) -> None:
        """QEMU has what it wrote to its disks in order after SIGTERM; one that does not listen is killed."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
        self.process.wait()


def _ending(status: int) -> str:
    return f"QEMU was ended by signal {-status}" if status < 0 else f"QEMU ended with status {status}"
