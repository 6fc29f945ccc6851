"""What a run is looked at with: the operation log, the audit and the statistics, each only if asked for."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TextIO

from vgicd_machine.board.timers import FREQUENCY
from vgicd_machine.core.cpu import Time
from vgicd_machine.errors import AuditFailed, MachineError
from vgicd_machine.files import contents
from vgicd_machine.gic.audit import Audit
from vgicd_machine.gic.meter import Meter
from vgicd_machine.gic.port import GicPort
from vgicd_machine.gic.recorder import Recorder
from vgicd_machine.machine import Machine
from vgicd_machine.run import Guest


class Instruments:
    """Around the port of one boot. `port` is what the machine gets, with `audit` as its observer and `clock`.

    `log` is where operations are written; `geometry` the interrupt controller's, for the log's first line.
    """

    def __init__(
        self,
        port: GicPort,
        guest: Guest,
        geometry: Mapping[str, object],
        *,
        log: TextIO | None,
        audit: bool,
        stats: bool,
    ) -> None:
        self.clock = Time()
        self.port = port
        self._meter: Meter | None = None
        if stats:
            self.port = self._meter = Meter(self.port)
        if log is not None:
            self.port = Recorder(self.port, log, self.clock.moment, {**geometry, **_facts(guest)})
        self.audit: Audit | None = None
        if audit:
            self.port = self.audit = Audit(self.port, guest.cpus)

    def statistics(self, machine: Machine) -> Iterator[str]:
        """What `machine` did, a line for each subject."""
        done = machine.statistics
        seconds = max(done.seconds, 1e-9)
        yield f"{done.ticks / FREQUENCY:.3f} s of the guest's time in {done.seconds:.2f} s"
        yield (
            f"{done.instructions} instructions, {done.instructions / seconds / 1e6:.1f} million a second, "
            f"in {done.slices} slices"
        )
        yield f"interrupts taken: IRQ {_each(done.irqs)}, FIQ {_each(done.fiqs)}"
        yield f"counter reads: {done.counter_reads}"
        if (meter := self._meter) is not None and meter.accesses:
            yield (
                f"interrupt controller: {meter.accesses} accesses and changes of lines, {meter.seconds:.3f} s, "
                f"{meter.seconds / meter.accesses * 1e6:.1f} us each, {meter.seconds / seconds:.1%} of the run"
            )

    def report(self, machine: Machine) -> dict[str, object]:
        """What was asked for, as JSON has it: "statistics", "interrupt_controller" in it, and "audit".

        Seconds are of wall time, `guest_seconds` of the guest's; `accesses` counts changes of lines, too; tuples have
        an element for each CPU.
        """
        report: dict[str, object] = {}
        if (meter := self._meter) is not None:
            done = machine.statistics
            report["statistics"] = {
                "guest_seconds": done.ticks / FREQUENCY,
                **dataclasses.asdict(done),
                "interrupt_controller": {"accesses": meter.accesses, "seconds": meter.seconds},
            }
        if self.audit is not None:
            report["audit"] = self.audit.report()
        return report

    def judge(self) -> None:
        """Raises `AuditFailed` if the audit has found anything."""
        if self.audit is not None and (found := list(self.audit.violations())):
            raise AuditFailed("; ".join(found))


@contextlib.contextmanager
def opened(path: Path | None) -> Iterator[TextIO | None]:
    """The operation log at `path`, if there is to be one. Raises `MachineError` when it cannot be written to its end.

    Unless something else has gone wrong already.
    """
    if path is None:
        yield None
        return
    try:
        file = path.open("w", encoding="ascii")
    except OSError as error:
        raise _not_written(path, error) from error
    try:
        yield file
    except BaseException:
        with contextlib.suppress(OSError):  # the other failure came first, and may be this one
            file.close()
        raise
    try:
        file.close()
    except OSError as error:
        raise _not_written(path, error) from error


def _not_written(path: Path, error: OSError) -> MachineError:
    return MachineError(f"cannot write the operation log {path}: {error.strerror}")


def _facts(guest: Guest) -> dict[str, object]:
    """What makes two runs comparable, beside the interrupt controller."""
    facts: dict[str, object] = {"cpus": guest.cpus, "seed": guest.seed, "ram": guest.ram_size}
    for name, path in (("image", guest.image), ("initrd", guest.initrd), ("dtb", guest.dtb)):
        if path is not None:
            facts[name] = _digest(name, path)
    if guest.append is not None:
        facts["append"] = hashlib.sha256(guest.append.encode()).hexdigest()
    return facts


def _digest(name: str, path: Path) -> str:
    return hashlib.sha256(contents(path, name)).hexdigest()


def _each(counts: tuple[int, ...]) -> str:
    """A sum, and its parts if there are several CPUs."""
    return f"{sum(counts)}" + (f" ({' + '.join(map(str, counts))})" if len(counts) > 1 else "")
