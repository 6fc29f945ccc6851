"""vgicd as the oracle's driver sees it: the daemon behind `--qtest`, at the addresses and paths of QEMU's machine."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Final

import vgicd_client
from tests.differential import qemu
from tests.differential.distributor import BASES, FIQ, IRQ, LRS, OurDomain
from tests.differential.machine import SPIS, Machine
from tests.differential.qtest import Qtest
from tests.differential.steps import Answer, Kind

if TYPE_CHECKING:
    from tests.differential.state import State
    from tests.differential.steps import Step

CPU_INPUTS: Final = (IRQ, FIQ)


class Served(Machine):
    """A started daemon with a domain as large as QEMU's machine and `cpus` vCPUs."""

    def __init__(self, cpus: int = 1) -> None:
        super().__init__()
        try:
            self.daemon = self._exit.enter_context(
                vgicd_client.private_daemon("--qtest", vcpus=cpus, spis=SPIS, lrs=LRS)
            )
            path = f"{self.daemon.address.removeprefix('unix:')}.qtest"
            self._control = self._exit.enter_context(vgicd_client.connect(self.daemon.address, role="control"))
            self.connection = self._exit.enter_context(socket.socket(socket.AF_UNIX))
            self.connection.connect(path)
            self.qtest = Qtest(self.connection)
            self.cpu = f"{qemu.UNATTACHED}/device[0]"
            self.gic = f"{qemu.UNATTACHED}/device[{cpus}]"
        except BaseException:
            self._exit.close()
            raise

    def reset(self) -> None:
        """RESET by another client: qtest has no command for it, as QEMU's has none."""
        self._control.reset()


class ServedDomain:
    """The daemon's domain of one vCPU, every step of which goes over qtest.

    It is also taken by a domain in this process: the answers must be the same, and that one's state is captured.
    """

    def __init__(self, machine: Served) -> None:
        machine.reset()
        self._machine = machine
        self._twin = OurDomain(1)

    def perform(self, step: Step) -> Answer:
        """The daemon's answer; its outputs are what it has told of the CPU's inputs."""
        qtest = self._machine.qtest
        value = 0
        match step.kind:
            case Kind.LINE:
                self._machine.set_line(step.offset, step.value)
            case Kind.READ:
                value = qtest.read(BASES[step.frame] + step.offset, step.size)
            case Kind.WRITE:
                qtest.write(BASES[step.frame] + step.offset, step.value, step.size)
        irq, fiq = (qtest.levels.get(index, 0) for index in CPU_INPUTS)
        answer, expected = Answer(value, irq | fiq << 1), self._twin.perform(step)
        if answer != expected:
            raise AssertionError(f"{step}: over qtest {answer}, in process {expected}")
        return answer

    def capture(self) -> State:
        """The state of the domain in this process."""
        return self._twin.capture()
