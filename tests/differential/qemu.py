"""A QEMU child process with a GICv2, to be asked questions.

Debian's QEMU has no qtest accelerator: the machine runs under TCG and is stopped before its first instruction, and
register accesses over qtest are then possible on a machine with one CPU only (with more, QEMU has no current CPU and
crashes).  The child is killed by its own pid, whatever happens, and dies with this process if that is killed.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tests.differential.machine import SPIS, Machine
from tests.differential.qtest import Qtest, QtestError
from tests.tools import require_tool

if TYPE_CHECKING:
    from collections.abc import Sequence

PROGRAM: Final = "qemu-system-aarch64"
DIE_WITH_PARENT: Final = ("setpriv", "--pdeathsig", "KILL")  # replaces itself by QEMU: the pid is QEMU's
START_TIMEOUT: Final = 20.0
UNATTACHED: Final = "/machine/unattached"

GICD: Final = 0x08000000
GICC: Final = 0x08010000
GICH: Final = 0x08030000
GICV: Final = 0x08040000

__all__ = ["GICC", "GICD", "GICH", "GICV", "SPIS", "UNATTACHED", "Qemu", "require_qemu"]


def require_qemu() -> None:
    require_tool(PROGRAM, "qemu-system-arm")
    require_tool(DIE_WITH_PARENT[0], "util-linux")


class Qemu(Machine):
    """A started machine `virt` with a GICv2 of five priority bits. A context manager: leaving it kills QEMU.

    `options` are further machine options, such as `virtualization=on`.  Five priority bits are what vgicd implements
    and what QEMU is able to; all else is as Debian ships it.
    """

    def __init__(self, *, cpus: int = 1, options: str = "", arguments: Sequence[str] = ()) -> None:
        super().__init__()
        try:
            directory = Path(self._exit.enter_context(tempfile.TemporaryDirectory(prefix="vgicd-qemu-")))
            qtest, qmp = (self._listen(directory / name) for name in ("qtest", "qmp"))
            self.process = subprocess.Popen(
                [
                    *(*DIE_WITH_PARENT, PROGRAM, "-no-user-config", "-nodefaults", "-display", "none", "-S"),
                    *("-machine", f"virt,gic-version=2{',' * bool(options)}{options}"),
                    *("-accel", "tcg,thread=single", "-cpu", "cortex-a57", "-smp", str(cpus)),
                    *("-global", "arm_gic.num-priority-bits=5"),
                    *("-qtest", f"unix:{directory / 'qtest'}", "-qtest-log", os.devnull),
                    *("-qmp", f"unix:{directory / 'qmp'}"),
                    *arguments,
                ],
                stdin=subprocess.DEVNULL,
            )
            self._exit.callback(self._kill)
            self.connection = self._accept(qtest)
            self._exit.callback(self.connection.close)
            self.qtest = Qtest(self.connection)
            control = self._accept(qmp)
            self._exit.callback(control.close)
            self._control = self._exit.enter_context(control.makefile("rwb"))
            self._message("QMP")
            self.command("qmp_capabilities")
            self.gic = self._find("child<arm_gic>")
            self.cpu = self._find("child<cortex-a57-arm-cpu>")
        except BaseException:
            self._exit.close()
            raise

    def command(self, name: str, **arguments: object) -> Any:
        """Execute a QMP command; what it returns."""
        self._send(name, **arguments)
        return self._message("return")

    def reset(self) -> None:
        """Reset the machine and wait until it is done. Input levels are forgotten: drive them anew."""
        self._send("system_reset")
        self._message("return", "RESET")

    def _listen(self, path: Path) -> socket.socket:
        listener = self._exit.enter_context(socket.socket(socket.AF_UNIX))
        listener.bind(str(path))
        listener.listen(1)
        listener.settimeout(START_TIMEOUT)
        return listener

    def _accept(self, listener: socket.socket) -> socket.socket:
        try:
            connection, _ = listener.accept()
        except TimeoutError as error:
            raise QtestError(f"QEMU did not start (exit status {self.process.poll()})") from error
        connection.settimeout(START_TIMEOUT)
        return connection

    def _send(self, name: str, **arguments: object) -> None:
        self._control.write(json.dumps({"execute": name, "arguments": arguments}).encode() + b"\n")
        self._control.flush()

    def _message(self, *wanted: str) -> Any:
        """Read until a QMP message with each key, or event of each name, in `wanted` has come; the first's value."""
        found: dict[str, Any] = {}
        while line := self._control.readline():
            message = json.loads(line)
            if "error" in message:
                raise QtestError(f"QMP: {message['error']['desc']}")
            found |= message
            found[message.get("event", "")] = None
            if all(key in found for key in wanted):
                return found[wanted[0]]
        raise QtestError("QEMU closed its control socket")

    def _find(self, kind: str) -> str:
        """The QOM path of the first device of `kind`; the numbers in it depend on the machine's size."""
        names = [child["name"] for child in self.command("qom-list", path=UNATTACHED) if child["type"] == kind]
        if not names:
            raise QtestError(f"this QEMU machine has no {kind}")
        return f"{UNATTACHED}/{min(names, key=lambda name: (len(name), name))}"

    def _kill(self) -> None:
        self.process.kill()
        self.process.wait()
