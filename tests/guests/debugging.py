"""A guest that runs in this process with gdb's endpoint, for a real gdb in another."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.gdb.gdbs import Gdb
from tests.gdb.transcript import Session
from tests.guests.recording import Lines
from vgicd_machine.core.cpu import Time
from vgicd_machine.gdb.debugger import GdbDebugger
from vgicd_machine.gdb.endpoint import Endpoint, open_endpoint
from vgicd_machine.gic.domain_port import DomainPort
from vgicd_machine.gic.port import GicPort
from vgicd_machine.gic.recorder import Recorder
from vgicd_machine.gic.socket_port import SocketPort
from vgicd_machine.run import Guest, Outcome, Run

LIMIT = 60.0
"""Seconds that a guest may take, the time that gdb holds it excluded."""


def timed(port: GicPort, guest: Guest, log: Lines, **options: Any) -> Run:
    """`guest` on a machine with `port`; its operations go to `log`, each with the exact time of its instruction."""
    clock = Time()
    return Run(Recorder(port, log, clock.moment, {"seed": guest.seed}), guest, clock=clock, **options)


class Debugged:
    """A guest at `endpoint`, its console in `said`, its operations in `log`. It begins when gdb says so."""

    def __init__(self, endpoint: Endpoint, guest: Guest, port: DomainPort | SocketPort, **options: Any) -> None:
        self.endpoint = endpoint
        self.said: list[str] = []
        self.log = Lines()
        self.outcome: Outcome | None = None
        self.error: Exception | None = None
        debugger = GdbDebugger(endpoint, port, wait=True)
        self.run = timed(port, guest, self.log, lines=self.said.append, debugger=debugger, **options)
        self._thread = threading.Thread(target=self._perform)
        self._thread.start()

    def _perform(self) -> None:
        try:
            self.outcome = self.run.perform(LIMIT)
        except Exception as error:
            self.error = error

    def runs_past(self, moment: int) -> None:
        """Return when the guest's time is later than `moment`: until then a gdb may find it as it was."""
        deadline = time.monotonic() + LIMIT
        while self.run.machine.now <= moment:
            assert self._thread.is_alive(), self.error
            assert time.monotonic() < deadline, self.said
            time.sleep(0.005)

    def wait(self) -> None:
        """For its end."""
        self._thread.join(LIMIT)
        assert not self._thread.is_alive(), self.said

    def join(self) -> Outcome:
        """How it ended; raises what the run has raised."""
        self.wait()
        if self.error is not None:
            raise self.error
        assert self.outcome is not None
        return self.outcome


@contextmanager
def debugged(
    folder: Path, gdb: Gdb, guest: Guest, port: DomainPort | SocketPort | None = None, **options: Any
) -> Iterator[tuple[Debugged, Session]]:
    """`guest`, held at its first instruction by a `gdb` that has just connected; both have ended after the block."""
    with open_endpoint(f"unix:{folder / 'cpu'}") as endpoint:
        machine = Debugged(endpoint, guest, port or DomainPort(vcpus=guest.cpus, spis=256), **options)
        try:
            program = (str(guest.image),) if guest.image.suffix == ".elf" else ()
            with Session(gdb, endpoint.address, program) as session:
                session.allowed.append("No executable has been specified|determining executable automatically")
                session.connect()
                yield machine, session
        except BaseException:
            machine.run.machine.end(reset=False)
            raise
        finally:
            machine.wait()
