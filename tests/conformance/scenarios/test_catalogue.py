"""Nothing is missing: every scenario, defect and fix has its test or its reason, and the page tells it."""

from __future__ import annotations

from pathlib import Path

import pytest

from .catalogue import BOTH, DEFECTS, FIXES, NOT_APPLICABLE, NOT_REPRODUCED, SCENARIOS, entries, page, scenario

ONE_COLUMN = {"T12": ("xen",), "T13": ("xen",)}  # the specification gives these for Xen alone
IN_BOTH_MODES = ("T14", "T25", "T27", "T36", "T47", "T49", "T60", "T61", "T80", "T86")
ON_BARE_SILICON = tuple(f"T{n}" for n in range(62, 76) if n != 65)  # T65 is about the distributor


def test_every_scenario_has_a_test_in_every_column_that_the_specification_gives() -> None:
    columns: dict[str, set[str]] = {name: set() for name in SCENARIOS}
    for entry in entries():
        if entry.scenario:
            columns[entry.scenario] |= set(entry.columns or BOTH)
    assert len(SCENARIOS) == 99
    assert {name: seen for name, seen in columns.items() if seen != set(ONE_COLUMN.get(name, BOTH))} == {}


def test_what_a_guest_sees_is_compared_in_automatic_mode_too() -> None:
    automatic = {entry.scenario for entry in entries() if "automatic" in entry.setup}
    assert set(IN_BOTH_MODES) <= automatic


def test_the_cpu_interface_is_tested_on_the_bare_silicon_too() -> None:
    bare = {entry.scenario for entry in entries() if "bare silicon" in entry.setup}
    assert set(ON_BARE_SILICON) <= bare


def test_the_guest_profile_is_used_where_the_specification_names_it() -> None:
    guest = {entry.scenario for entry in entries() if "xen-guest" in entry.setup}
    assert {"T33", "T34", "T35", "T90", "T91", "T92"} <= guest


def test_every_defect_and_every_fix_has_a_test_or_a_reason() -> None:
    shown = {number for entry in entries() for number in entry.covers}
    excused = set(NOT_REPRODUCED) | set(NOT_APPLICABLE)
    assert shown | excused == {*DEFECTS, *FIXES}
    assert shown & excused == set()


def test_the_decorator_refuses_what_the_specification_does_not_number() -> None:
    with pytest.raises(ValueError, match="T99"):
        scenario("T99")
    with pytest.raises(ValueError, match="D22"):
        scenario("T1", defects=("D22",))
    with pytest.raises(ValueError, match="T2"):
        scenario("T2")(test_every_defect_and_every_fix_has_a_test_or_a_reason)


def test_the_page_of_scenarios_is_fresh() -> None:
    """Written anew by `python -m tests.conformance.scenarios.catalogue > docs/scenarios.md`."""
    stored = Path(__file__).parents[3] / "docs" / "scenarios.md"
    assert stored.read_text() == page()
