"""vgicd against Debian's QEMU, operation by operation: values, and output levels after each.

The counts of the ordinary suite are small; those under the marker `long` are the measure of the project.  A failure
prints the command that repeats it.
"""

from __future__ import annotations

import re
from collections import Counter

import pytest

from tests.differential.compare import Mismatch
from tests.differential.divergences import TABLE
from tests.differential.runs import compare
from vgicd.hw import gicv
from vgicd.hw.gich import Gich

QUICK = {"a": 3000, "b": 3000, "c": 500}
SERVED_QUICK = 1000
SERVED_FULL = 40_000
FULL = {"a": 60_000, "b": 40_000, "c": 5_000}
MIN_SHARE = 0.02  # of the operations that must be successful acknowledges
MAX_EXCLUDED = 0.05  # of the operations may meet an entry of the table


def run_all(case: str, seed: int, count: int, *, served: bool = False) -> None:
    """Compare, and insist that the runs were worth it: interrupts were taken and little was excluded."""
    seen: Counter[str] = Counter()
    applied: Counter[str] = Counter()
    for run in compare(case, seed, count, served=served):
        seen += run.seen
        applied += run.applied
    assert seen.total() == count
    assert seen["acknowledged"] > MIN_SHARE * count
    assert applied.total() < MAX_EXCLUDED * count
    assert set(applied) <= {entry.name for entry in TABLE if case in entry.cases}


@pytest.mark.parametrize("case", sorted(QUICK))
def test_no_difference(case: str) -> None:
    run_all(case, 0, QUICK[case])


def test_no_difference_when_both_are_driven_over_qtest() -> None:
    """The same client, lines and wires for QEMU and for `vgicd serve --qtest`."""
    run_all("a", 0, SERVED_QUICK, served=True)


def test_no_difference_when_interrupts_end_in_any_order() -> None:
    run_all("a", 9, 1000)
    run_all("b", 9, 1000)


@pytest.mark.long
@pytest.mark.parametrize("case", sorted(FULL))
def test_no_difference_at_length(case: str) -> None:
    run_all(case, 1000, FULL[case])


@pytest.mark.long
def test_no_difference_over_qtest_at_length() -> None:
    run_all("a", 2000, SERVED_FULL, served=True)


def test_a_wrong_running_priority_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison would notice: preemption by the whole instead of the group priority."""
    monkeypatch.setattr(Gich, "group_priority", lambda _gich, word: word >> 20 & 0xF8)
    with pytest.raises(Mismatch):
        run_all("b", 0, 5000)


def test_a_lost_maintenance_condition_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Gich, "misr", lambda _gich: 0)
    with pytest.raises(Mismatch, match="maintenance"):
        run_all("b", 0, 1000)


def test_a_difference_is_reported_so_that_it_can_be_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    """Case, seed, number, the operations before, both answers and the command; the same again next time."""
    monkeypatch.setattr(gicv, "_identity", lambda word: word & 0x1FFF ^ 1)
    reports = []
    for _ in range(2):
        with pytest.raises(Mismatch) as caught:
            run_all("a", 3, 3000)
        reports.append(str(caught.value))
    report = reports[0]
    assert reports[1] == report
    found = re.match(r"case a, seed (\d+), operation (\d+): cpu0 read GICC_\w+\n", report)
    assert found
    assert 3 <= report.count("\n") <= 24
    assert re.search(r"^  QEMU: value 0x\w+ outputs 0x\w+", report, re.MULTILINE)
    assert re.search(r"^  vgicd: value 0x\w+ outputs 0x\w+", report, re.MULTILINE)
    assert report.endswith(f"python -m tests.differential --case a --seed {found[1]}")
