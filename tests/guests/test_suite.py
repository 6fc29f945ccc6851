"""The bare-metal suite passes in variant correct, fails in xen where Xen's defects make it fail, and can fail."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from tests.tools import require_tool
from vgicd.vgic.variants import DEFECTS
from vgicd_client import private_daemon
from vgicd_machine import guests
from vgicd_machine import suite as command
from vgicd_machine.errors import BusAbort, MachineError
from vgicd_machine.explained import MANY, SUITE, explained, is_explained
from vgicd_machine.gic.domain_port import DomainPort
from vgicd_machine.gic.port import GicPort
from vgicd_machine.gic.socket_port import open_port
from vgicd_machine.gic.surviving import Surviving
from vgicd_machine.host.console import Verdict
from vgicd_machine.run import Outcome, run_image

LIMIT = 120  # seconds; one or two are enough on an idle machine
CPUS = (1, 2, 4, 8)
LRS = (1, 2, 4, 16)

SOURCES = Path(__file__).resolve().parents[2] / "clients" / "guests" / "suite"
SCENARIOS = re.findall(r'^(?:HERE|EVERYWHERE)\("([\w-]+)"', (SOURCES / "scenarios.def").read_text(), re.MULTILINE)


@pytest.fixture(scope="session")
def suite() -> Path:
    return guests.build("suite")


def play(suite: Path, port: GicPort, cpus: int) -> Outcome:
    outcome = run_image(port, suite, lambda _: None, cpus=cpus, seconds=LIMIT)
    assert [verdict.name for verdict in outcome.verdicts] == SCENARIOS
    assert bool(outcome.status) == any(not verdict.passed for verdict in outcome.verdicts)
    return outcome


def failures(outcome: Outcome) -> dict[str, str]:
    return {verdict.name: verdict.why for verdict in outcome.verdicts if not verdict.passed}


def over_the_socket(suite: Path, cpus: int, lrs: int, **config: Any) -> dict[str, str]:
    with private_daemon(vcpus=cpus, lrs=lrs, **config) as daemon, open_port(daemon.address) as port:
        return failures(play(suite, Surviving(port), cpus))


def unexplained(found: dict[str, str], cpus: int, lrs: int) -> dict[str, str]:
    return {
        name: why
        for name, why in found.items()
        if not is_explained(Verdict(name, False, why), "xen", cpus, lrs, "suite")
    }


def assert_exactly_what_is_explained_fails(suite: Path, cpus: int, lrs: int) -> None:
    found = over_the_socket(suite, cpus, lrs, variant="xen")
    assert unexplained(found, cpus, lrs) == {}
    assert found.keys() == explained("xen", cpus, lrs, "suite").keys()


def test_suite_passes(suite: Path) -> None:
    assert over_the_socket(suite, 4, 4) == {}


@pytest.mark.long
@pytest.mark.parametrize("lrs", LRS)
@pytest.mark.parametrize("cpus", CPUS)
def test_suite_passes_with_every_geometry(suite: Path, cpus: int, lrs: int) -> None:
    assert over_the_socket(suite, cpus, lrs) == {}


@pytest.mark.long
@pytest.mark.parametrize("spis", [32, 960])
def test_suite_passes_with_as_few_and_as_many_interrupts_as_can_be(suite: Path, spis: int) -> None:
    assert over_the_socket(suite, 2, 4, spis=spis) == {}


def test_suite_says_that_it_needs_interrupts(suite: Path) -> None:
    outcome = run_image(DomainPort(spis=0), suite, lambda _: None, seconds=LIMIT)
    assert outcome.status == 1
    assert outcome.verdicts[0] == ("start", False, "32 SPIs are needed, there are 32 interrupt lines")


def test_exactly_what_is_explained_fails_in_variant_xen(suite: Path) -> None:
    assert_exactly_what_is_explained_fails(suite, 2, 2)


@pytest.mark.long
@pytest.mark.parametrize("lrs", LRS)
@pytest.mark.parametrize("cpus", CPUS)
def test_exactly_what_is_explained_fails_with_every_geometry(suite: Path, cpus: int, lrs: int) -> None:
    assert_exactly_what_is_explained_fails(suite, cpus, lrs)


@pytest.mark.long
@pytest.mark.parametrize(
    ("cpus", "lrs"), sorted({(row.cpus, lrs) for row in SUITE for lrs in (row.lrs, row.lrs + 1) if row.lrs < MANY})
)
def test_explanations_end_where_they_say(suite: Path, cpus: int, lrs: int) -> None:
    assert_exactly_what_is_explained_fails(suite, cpus, lrs)


@pytest.mark.long
@pytest.mark.parametrize(("cpus", "lrs"), [(1, 1), (3, 2), (4, 4)])
def test_with_every_defect_mended_only_what_stays_still_fails(suite: Path, cpus: int, lrs: int) -> None:
    numbers = explained("xen", cpus, lrs, "suite")
    stays = {name for name, why in numbers.items() if any(number.startswith("F") for number in why)}
    found = over_the_socket(suite, cpus, lrs, variant="xen", xen_without=tuple(DEFECTS))
    assert found.keys() == stays
    assert unexplained(found, cpus, lrs) == {}


SEEN = sorted({number for row in SUITE for number in row.numbers if number in DEFECTS and "F22" not in row.numbers})


@pytest.mark.long
@pytest.mark.parametrize("defect", SEEN)
def test_suite_finds_each_defect_when_it_is_the_only_one(suite: Path, defect: str) -> None:
    others = tuple(number for number in DEFECTS if number != defect)
    numbers = explained("xen", 2, 4, "suite")
    stays = {name for name, why in numbers.items() if any(number.startswith("F") for number in why)}
    found = over_the_socket(suite, 2, 4, variant="xen", xen_without=others)
    other_text = unexplained(found, 2, 4)
    assert not stays & other_text.keys(), other_text
    assert any(defect in numbers.get(name, ()) for name in found.keys() - stays - other_text.keys()), found


def test_every_explanation_is_of_a_scenario_and_has_a_number_and_a_sentence() -> None:
    for row in SUITE:
        assert row.scenario in SCENARIOS
        assert row.why
        assert row.numbers
    known = {*DEFECTS, "F4", "F17", "F22"}
    for cpus in CPUS:
        for lrs in LRS:
            for numbers in explained("xen", cpus, lrs, "suite").values():
                assert known >= set(numbers)
                assert DEFECTS.keys() & set(numbers), "one of Xen's own"


def test_nothing_is_explained_in_variant_correct() -> None:
    assert explained("correct", 8, 1, "suite") == {}


def test_command_names_the_defect_of_each_failure(suite: Path) -> None:
    result = CliRunner().invoke(command.main, ["--cpus", "1", "--lrs", "1", "--variant", "xen"])
    assert result.exit_code == 0, result.output
    expected = explained("xen", 1, 1, "suite")
    heading, *lines, last = result.output.splitlines()
    assert heading.startswith(f"1 CPUs, 1 LRs: {len(SCENARIOS) - len(expected)} passed, {len(expected)} failed")
    assert len(lines) == len(expected)
    for line, (name, numbers) in zip(
        lines, sorted(expected.items(), key=lambda item: SCENARIOS.index(item[0])), strict=True
    ):
        assert line.startswith(f"  {', '.join(numbers)}: {name}: ")
    assert last == "Xen's own defects explain every failure, as expected in variant xen."


@pytest.mark.parametrize(
    ("name", "cpus", "lrs", "known", "other"),
    [
        ("active-bits", 1, 1, "GICD_ISACTIVER1 is 0x0, not 0xa5a50ff0", "GICD_ISACTIVER1 is 0x1, not 0xa5a50ff0"),
        ("active-bits", 1, 1, "GICD_ISACTIVER1 is 0x0, not 0xa5a50ff0", "GICD_ISACTIVER1 is 0x0, not 0xa5a50ff0."),
        ("handlers-nest", 1, 4, "4 handlers nested of 16", "3 handlers nested of 16"),
        ("many-move-at-once", 4, 4, "cpu 3 took 0 of 20", "cpu 3 took 19 of 20"),
        ("round-trip", 2, 4, "it came 1 times of 6", "CPUs 0x1 are interrupted without end"),
        (
            "target-comes-late",
            2,
            4,
            "with a target at last 34 does not come to cpu 1",
            "with a target GICC_IAR reads 0x3ff, not 0x22",
        ),
    ],
)
def test_a_scenario_that_fails_with_another_text_than_its_defect_leads_to_is_not_explained(
    name: str, cpus: int, lrs: int, known: str, other: str
) -> None:
    for why, good in ((known, True), (other, False)):
        assert is_explained(Verdict(name, False, why), "xen", cpus, lrs, "suite") == good
        numbers = ", ".join(explained("xen", cpus, lrs, "suite")[name])
        lines, _ = command.report((Verdict(name, False, why),), "xen", cpus, lrs)
        assert lines[0].startswith(f"{numbers}: {name}: " if good else f"FAIL {name}: {why} (not what {numbers} would")


@pytest.mark.long
def test_command_is_not_content_with_another_text_of_one_scenario(suite: Path) -> None:
    """All else is what a run says, so that nothing but the planted text can be what displeases."""
    verdicts = play(suite, Surviving(DomainPort(lrs=4, variant="xen")), 1).verdicts
    assert command.report(verdicts, "xen", 1, 4)[1]
    planted = tuple(
        verdict._replace(why="GICD_ISACTIVER1 is 0x1, not 0xa5a50ff0") if verdict.name == "active-bits" else verdict
        for verdict in verdicts
    )
    lines, good = command.report(planted, "xen", 1, 4)
    assert not good
    assert "FAIL active-bits: GICD_ISACTIVER1 is 0x1, not 0xa5a50ff0 (not what D13 would make it say)" in lines


@pytest.mark.parametrize(
    ("variant", "wrong", "line"),
    [
        ("correct", "active-bits", "FAIL active-bits: why"),
        ("xen", "identification", "FAIL identification: why"),
        ("xen", "active-bits", "PASS active-bits, which D13 should have made fail"),
    ],
)
def test_command_is_not_content_with_anything_else(variant: str, wrong: str, line: str) -> None:
    expected = explained(variant, 1, 1, "suite")
    verdicts = tuple(Verdict(name, (name in expected) == (name == wrong), "why") for name in SCENARIOS)
    lines, good = command.report(verdicts, variant, 1, 1)
    assert line in lines
    assert not good


def test_command_is_not_content_with_less() -> None:
    assert not command.report((), "correct", 1, 1)[1]
    some = tuple(Verdict(name, name not in explained("xen", 1, 1, "suite"), "") for name in SCENARIOS[:5])
    assert not command.report(some, "xen", 1, 1)[1]


@pytest.mark.parametrize("numbers", ["9", "0", "1,", "one"])
def test_command_refuses_what_is_no_number_of_cpus(numbers: str) -> None:
    result = CliRunner().invoke(command.main, ["--cpus", numbers])
    assert result.exit_code == 2
    assert "is not a list of numbers from 1 to 8" in result.output


Fault = Callable[[str, int, int], int | None]


class Faulty(DomainPort):
    """A correct interrupt controller with a fault on the way to it or back: `fault(kind, place, value)` is what takes
    the place of a value, if anything does.
    """

    def __init__(self, fault: Fault) -> None:
        super().__init__()
        self._fault = fault

    def read(self, cpu: int, address: int, size: int) -> int:
        value = super().read(cpu, address, size)
        return self._instead("read", address, value)

    def write(self, cpu: int, address: int, size: int, value: int) -> None:
        super().write(cpu, address, size, self._instead("write", address, value))

    def line(self, intid: int, level: int, cpu: int | None = None) -> None:
        super().line(intid, self._instead("line", intid, level), cpu)

    def _instead(self, kind: str, place: int, value: int) -> int:
        other = self._fault(kind, place, value)
        return value if other is None else other


def every(count: int, kind: str, where: int, instead: int) -> Fault:
    """At each `count`th operation of `kind` at `where`, `instead` takes the place of the value."""
    seen = 0

    def fault(operation: str, place: int, _value: int) -> int | None:
        nonlocal seen
        if operation != kind or place != where:
            return None
        seen += 1
        return None if seen % count else instead

    return fault


GICD, GICC = 0x0800_0000, 0x0801_0000
SGIR, ISPENDR1, IAR, EOIR = GICD + 0xF00, GICD + 0x204, GICC + 0x00C, GICC + 0x010
RESERVED_FILTER = 3 << 24


@pytest.mark.parametrize(
    ("fault", "found"),
    [
        (every(7, "write", SGIR, RESERVED_FILTER), {"sgi-everyone-to-everyone", "ring-of-sgis"}),
        (every(20, "write", ISPENDR1, 0), {"overflow-order", "storm-on-all-cpus"}),
        (every(30, "write", EOIR, 1023), {"overflow-late-arrival", "timer-storm"}),
        pytest.param(every(9, "line", 27, 1), {"timer-storm", "timers-at-once"}, marks=pytest.mark.long),
        pytest.param(every(100, "read", IAR, 1023), {"overflow-nested", "priority-mask"}, marks=pytest.mark.long),
        pytest.param(every(3, "line", 33, 0), {"level-falls-while-active"}, marks=pytest.mark.long),
    ],
    ids=["SGI lost", "edge lost", "end lost", "line kept high", "acknowledge lost", "line kept low"],
)
def test_suite_finds_an_interrupt_controller_that_loses_something(suite: Path, fault: Fault, found: set[str]) -> None:
    outcome = play(suite, Faulty(fault), 1)
    assert outcome.status == 1, "no hang: every scenario is judged"
    assert failures(outcome).keys() >= found


@pytest.mark.parametrize("cpus", [1, 2, pytest.param(4, marks=pytest.mark.long)])
def test_suite_passes_on_qemu(suite: Path, cpus: int) -> None:
    """QEMU's own GIC judges the suite: what it is known to do differently, the suite names and leaves out."""
    require_tool("qemu-system-aarch64", "qemu-system-arm")
    machine = ["-M", "virt,gic-version=2", "-cpu", "cortex-a57", "-smp", str(cpus), "-nographic", "-nodefaults"]
    result = subprocess.run(
        ["qemu-system-aarch64", *machine, "-serial", "stdio", "-monitor", "none", "-kernel", suite],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    lines = result.stdout.splitlines()
    assert [line for line in lines if line.startswith("FAIL")] == []
    assert [line.removeprefix("PASS ") for line in lines if line.startswith("PASS")] == SCENARIOS
    assert lines[-1] == "EXIT: STATUS=0"


def test_an_assertion_is_an_abort_for_a_guest_that_survives_it_and_anything_else_is_not() -> None:
    port = Surviving(DomainPort(variant="xen"))
    for _ in range(2):
        with pytest.raises(BusAbort):
            port.read(0, GICD + 0xF20, 1)
    assert len(port.assertions) == 1
    assert "D2" in port.assertions[0]
    with pytest.raises(BusAbort):
        port.write(0, GICD + 0x00C, 4, 0)
    assert len(port.assertions) == 1, "an ordinary abort"
    with pytest.raises(MachineError, match="refuses"):
        port.read(1, GICD, 4)
