"""The limits that have behaviour of their own."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from vgicd.server.limits import Limits, LineBudget


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@given(st.integers(0, 20), st.lists(st.integers(0, 60), max_size=10))
def test_no_second_has_more_lines_than_allowed_and_none_is_forgotten(rate: int, seconds: list[int]) -> None:
    """XSA-118 and XSA-146: what a guest can make the host log is bounded, and what was left out is known."""
    clock = Clock()
    budget = LineBudget(rate, clock)
    allowed = 0
    for second, wanted in enumerate(seconds):
        clock.now = float(second)
        granted = sum(budget.allows() for _ in range(wanted))
        assert granted == min(rate, wanted)
        allowed += granted
    assert allowed + budget.take_suppressed() == sum(seconds)
    assert budget.take_suppressed() == 0


def test_the_watch_is_a_fifth_of_the_shortest_deadline() -> None:
    assert Limits().watch_seconds == 0.4
    assert Limits(hello_seconds=1.0).watch_seconds == 0.2
    assert Limits(hello_seconds=0.01).watch_seconds == 0.01
    assert Limits(drain_seconds=0.0).watch_seconds == 1.0
