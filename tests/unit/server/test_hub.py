"""The hub's own promises, without sockets."""

from __future__ import annotations

from collections.abc import Callable

import trio

from vgicd.domain.config import DomainConfig
from vgicd.domain.domain import Domain
from vgicd.server.events import EventQueue, Hub


class Told:
    """A listener that notes when its turn comes."""

    def __init__(self, name: str, turns: list[str]) -> None:
        self.events = EventQueue(8, trio.current_time)
        self.flush: Callable[[], None] = lambda: turns.append(name)

    def deliver(self) -> None:
        """Nothing is queued: only the turn counts."""

    def end_wait(self, request_id: int, fulfilled: bool) -> None:
        """Answered at `flush`."""


async def test_those_who_wait_are_told_in_the_order_in_which_they_came() -> None:
    hub, turns = Hub(Domain(DomainConfig(vcpus=1))), list[str]()
    for name in ("first", "second", "third"):
        hub.add_wait(Told(name, turns), 1, outputs=1, deadline=float("inf"))
    hub.spread(Told("source", turns), outputs=1)
    hub.publish()
    assert turns == ["first", "second", "third"]
    assert not hub.behind
