"""The three cases as runs of a few hundred steps, each of its own seed and from reset.

A run's seed is all that it depends on: the number in a mismatch's report repeats it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from random import Random
from typing import Final

from tests.differential.compare import Comparison
from tests.differential.distributor import OurDomain, QemuDistributor
from tests.differential.four_cpus import CPUS, QemuFourCpus
from tests.differential.generate_distributor import DistributorGenerator
from tests.differential.generate_silicon import SiliconGenerator
from tests.differential.mailbox import Mailbox, assemble
from tests.differential.qemu import Qemu, require_qemu
from tests.differential.served import Served, ServedDomain
from tests.differential.silicon import QemuSilicon, Silicon

STEPS: Final = {"a": 1000, "b": 1000, "c": 500}  # of a run
DISORDERLY_EVERY: Final = 10
CASES: Final = {"a": "GICD and GICC, one CPU", "b": "GICH and GICV", "c": "GICD and GICC, four CPUs"}
GUEST: Final = Path(__file__).with_name("mailbox.S")

Beginning = Callable[[int], Comparison]


def disorderly(seed: int) -> bool:
    """One run of ten ends its interrupts in any order."""
    return seed % DISORDERLY_EVERY == DISORDERLY_EVERY - 1


def compare(case: str, seed: int, count: int, *, served: bool = False) -> Iterator[Comparison]:
    """Compare `count` steps of `case` in runs with seeds from `seed` up; yields each run when it is done.

    vgicd is in this process or, in case a, `served`: then both are driven over qtest, by the same client.

    Raises Mismatch.  Skips the test when QEMU is missing; under CI it fails instead.
    """
    require_qemu()
    opener = _one_cpu_served if served else {"a": _one_cpu, "b": _silicon, "c": _four_cpus}[case]
    with opener() as begin:
        while count > 0:
            run = begin(seed)
            run.run(min(count, STEPS[case]))
            yield run
            count -= run.performed
            seed += 1


@contextmanager
def _one_cpu() -> Iterator[Beginning]:
    with Qemu() as machine:
        theirs = QemuDistributor(machine)

        def begin(seed: int) -> Comparison:
            machine.reset()
            theirs.restart()
            generator = DistributorGenerator(Random(seed), disorderly=disorderly(seed))
            return Comparison("a", seed, OurDomain(1), theirs, generator)

        yield begin


@contextmanager
def _one_cpu_served() -> Iterator[Beginning]:
    with Qemu() as machine, Served() as ours:
        theirs = QemuDistributor(machine)
        ours.qtest.intercept_inputs(ours.cpu)

        def begin(seed: int) -> Comparison:
            machine.reset()
            theirs.restart()
            generator = DistributorGenerator(Random(seed), disorderly=disorderly(seed))
            return Comparison("a", seed, ServedDomain(ours), theirs, generator, options=" --served")

        yield begin


@contextmanager
def _silicon() -> Iterator[Beginning]:
    with Qemu(options="virtualization=on") as machine:
        theirs = QemuSilicon(machine)

        def begin(seed: int) -> Comparison:
            machine.reset()
            theirs.restart()
            generator = SiliconGenerator(Random(seed), disorderly=disorderly(seed))
            return Comparison("b", seed, Silicon(), theirs, generator)

        yield begin


@contextmanager
def _four_cpus() -> Iterator[Beginning]:
    with tempfile.TemporaryDirectory(prefix="vgicd-mailbox-") as directory, ExitStack() as machines:
        image = assemble(Path(directory), GUEST)

        def begin(seed: int) -> Comparison:
            machines.close()
            machine = machines.enter_context(Mailbox.machine(image, CPUS))
            generator = DistributorGenerator(Random(seed), cpus=CPUS, disorderly=disorderly(seed))
            return Comparison("c", seed, OurDomain(CPUS), QemuFourCpus(machine), generator)

        yield begin
