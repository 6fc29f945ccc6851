"""QEMU machines, one of each kind for all tests of a module."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.differential.both import Both, four_cpus, one_cpu, silicon
from tests.differential.four_cpus import CPUS
from tests.differential.mailbox import Mailbox, assemble
from tests.differential.qemu import Qemu, require_qemu
from tests.differential.runs import GUEST
from tests.differential.served import Served


@pytest.fixture(scope="module")
def hypervisor_machine() -> Iterator[Qemu]:
    require_qemu()
    with Qemu(options="virtualization=on") as machine:
        machine.qtest.intercept_inputs(machine.cpu)
        yield machine


@pytest.fixture(scope="module")
def plain_machine() -> Iterator[Qemu]:
    require_qemu()
    with Qemu() as machine:
        machine.qtest.intercept_inputs(machine.cpu)
        yield machine


@pytest.fixture
def virtual(hypervisor_machine: Qemu) -> Both:
    """GICH and GICV."""
    return silicon(hypervisor_machine)


@pytest.fixture(scope="module")
def served_machine() -> Iterator[Served]:
    with Served() as machine:
        machine.qtest.intercept_inputs(machine.cpu)
        yield machine


@pytest.fixture(params=["in process", "over qtest"])
def single(request: pytest.FixtureRequest, plain_machine: Qemu) -> Both:
    """GICD and GICC of one CPU."""
    if request.param == "in process":
        return one_cpu(plain_machine)
    served: Served = request.getfixturevalue("served_machine")
    return one_cpu(plain_machine, served)


@pytest.fixture
def quad(tmp_path: Path) -> Iterator[Both]:
    """GICD and GICC of four CPUs."""
    require_qemu()
    with Mailbox.machine(assemble(tmp_path, GUEST), CPUS) as machine:
        yield four_cpus(machine)
