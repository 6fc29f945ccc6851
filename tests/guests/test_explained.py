"""The tour in variant xen: it fails where Xen's own defects make it fail, nowhere else, and the demo says so."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from vgicd.vgic.variants import DEFECTS
from vgicd_machine import demo, guests, run
from vgicd_machine.explained import XEN, Explained, explained, is_explained
from vgicd_machine.gic.domain_port import DomainPort
from vgicd_machine.host.console import Verdict
from vgicd_machine.run import Outcome, run_image

LIMIT = 150  # seconds; a second is enough on an idle machine

CAN_BE_MENDED = [row for row in XEN if DEFECTS.keys() >= set(row.numbers)]


@pytest.fixture(scope="session")
def tour() -> Path:
    return guests.build()


def play(tour: Path, cpus: int, lrs: int = 4, without: tuple[str, ...] = ()) -> tuple[Verdict, ...]:
    port = DomainPort(vcpus=cpus, lrs=lrs, variant="xen", xen_without=without)
    outcome = run_image(port, tour, lambda _: None, cpus=cpus, seconds=LIMIT)
    assert outcome.status == 1
    return tuple(verdict for verdict in outcome.verdicts if not verdict.passed)


def failures(tour: Path, cpus: int, lrs: int = 4, without: tuple[str, ...] = ()) -> set[str]:
    return {verdict.name for verdict in play(tour, cpus, lrs, without)}


@pytest.mark.long
def test_demo_names_the_defects_in_its_summary_and_nothing_else_fails(tour: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "vgicd_machine.demo", "--cpus", "4", "--variant", "xen"],
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    lines = result.stdout.splitlines()
    console, summary = lines[: lines.index("EXIT: STATUS=1")], lines[-9:]
    said = [line for line in console if line.startswith(("PASS", "FAIL"))]
    numbers = {
        "sgi": "D6",
        "nested-priorities": "D6",
        "eoimode1": "F22",
        "masking": "D10",
        "spi-targets": "D11, D12",
        "fiq-groups": "F7",
    }
    for heard, line in zip(said, summary[:8], strict=True):
        name = heard.split()[1].rstrip(":")
        added = f" (expected in variant xen: {numbers[name]})" if name in numbers else ""
        assert line == heard + added
        assert heard.startswith("FAIL" if added else "PASS")
    assert summary[8] == "Xen's own defects explain every failure, as expected in variant xen."


@pytest.mark.parametrize(
    ("cpus", "stays"), [(1, {"fiq-groups"}), pytest.param(4, {"eoimode1", "fiq-groups"}, marks=pytest.mark.long)]
)
def test_what_remains_without_the_defects_is_what_cannot_be_mended(tour: Path, cpus: int, stays: set[str]) -> None:
    without = tuple({number: None for row in CAN_BE_MENDED for number in row.numbers})
    assert failures(tour, cpus, without=without) == stays


@pytest.mark.long
@pytest.mark.parametrize("row", CAN_BE_MENDED, ids=lambda row: row.scenario)
def test_each_defect_is_needed_for_the_failure_that_it_explains(tour: Path, row: Explained) -> None:
    assert row.scenario in failures(tour, row.cpus)
    assert row.scenario not in failures(tour, row.cpus, without=row.numbers)
    for number in row.numbers if len(row.numbers) > 1 else ():
        others = tuple(other for other in row.numbers if other != number)
        assert row.scenario in failures(tour, row.cpus, without=others)


@pytest.mark.long
@pytest.mark.parametrize("lrs", [1, 2, 3, 4, 16])
@pytest.mark.parametrize("cpus", [1, 2, 3, 8])
def test_exactly_what_is_explained_fails(tour: Path, cpus: int, lrs: int) -> None:
    failed = play(tour, cpus, lrs)
    assert [verdict for verdict in failed if not is_explained(verdict, "xen", cpus, lrs)] == []
    assert {verdict.name for verdict in failed} == explained("xen", cpus, lrs).keys()


def test_nothing_is_explained_in_variant_correct() -> None:
    assert explained("correct", 4, 1) == {}


WHY = {
    "timer-ppi": "",
    "masking": "lost by GICD_CTLR 0",
    "fiq-groups": "group 1 came 0 times as IRQ, 2 FIQs in all",
}


@pytest.mark.parametrize(
    ("variant", "failed", "status"),
    [
        pytest.param("correct", set(), 0, marks=pytest.mark.long),
        pytest.param("correct", {"masking"}, 1, marks=pytest.mark.long),
        ("xen", {"masking", "fiq-groups"}, 0),
        ("xen", {"masking", "fiq-groups", "timer-ppi"}, 1),
        ("xen", {"masking"}, 1),
        pytest.param("xen", set(), 1, marks=pytest.mark.long),
    ],
)
def test_demo_is_content_only_with_what_is_expected(
    tour: Path, monkeypatch: pytest.MonkeyPatch, variant: str, failed: set[str], status: int
) -> None:
    verdicts = tuple(Verdict(name, name not in failed, why if name in failed else "") for name, why in WHY.items())
    outcome = Outcome(1 if failed else 0, verdicts, ticks=0, reset=False)
    monkeypatch.setattr(run, "run_image", lambda *_, **__: outcome)
    result = CliRunner().invoke(demo.main, ["--cpus", "1", "--variant", variant])
    assert result.exit_code == status, result.output
    assert ("masking (not expected" in result.output) == (variant == "xen" and "masking" not in failed)


@pytest.mark.parametrize(
    ("why", "status"), [pytest.param(WHY["masking"], 0, marks=pytest.mark.long), ("lost by GICD_ICENABLER", 1)]
)
def test_demo_is_not_content_with_another_text_of_the_same_scenario(
    tour: Path, monkeypatch: pytest.MonkeyPatch, why: str, status: int
) -> None:
    verdicts = (Verdict("masking", False, why), Verdict("fiq-groups", False, WHY["fiq-groups"]))
    outcome = Outcome(1, verdicts, ticks=0, reset=False)
    monkeypatch.setattr(run, "run_image", lambda *_, **__: outcome)
    result = CliRunner().invoke(demo.main, ["--cpus", "1", "--variant", "xen"])
    assert result.exit_code == status, result.output
    way = "in another way than " if status else ""
    assert f"FAIL masking: {why} ({way}expected in variant xen: D10)" in result.output
