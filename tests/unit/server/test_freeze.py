"""The freeze's own bookkeeping, and what a request needs thawed, without sockets."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from vgicd.server.freeze import EVERYTHING, REST, Freeze, claim
from vgicd_protocol import framing, messages
from vgicd_protocol.frames import NO_VCPU, SPACES, Opcode

MASKS = st.integers(0, EVERYTHING)


class Waiter:
    """A held connection that notes when it may go on."""

    def __init__(self, held: int) -> None:
        self.held = held
        self.thawed = 0

    def thaw(self) -> None:
        self.thawed += 1


def of(opcode: int, **fields: object) -> int:
    frame = framing.request(opcode, 1, messages.build_request(opcode, fields))
    return claim(bytearray(b"??" + frame + b"rest"), 2, 2 + len(frame))


def access(opcode: int, vcpu: int, space: int) -> int:
    return claim(bytearray(framing.hot_request(opcode, 1, vcpu, 4, space, 0x100, 0)), 0, 32)


@given(st.lists(st.tuples(st.integers(0, 3), MASKS)))
def test_what_is_frozen_is_what_anybody_holds(orders: list[tuple[int, int]]) -> None:
    changes: list[int] = []
    freeze = Freeze(lambda: changes.append(freeze.mask))
    held: dict[object, int] = {}
    for holder, mask in orders:
        before = freeze.mask
        changes.clear()
        freeze.hold(holder, mask)
        held[holder] = mask
        union = 0
        for each in held.values():
            union |= each
        assert freeze.mask == union
        assert changes == ([union] if union != before else [])
        assert set(freeze.holders) == {holder for holder, mask in held.items() if mask}


@given(st.lists(st.integers(1, EVERYTHING), max_size=6), MASKS)
def test_those_go_on_whom_nothing_holds_any_longer_and_only_once(needs: list[int], left: int) -> None:
    freeze = Freeze(lambda: None)
    freeze.hold("a", EVERYTHING)
    waiters = [Waiter(need) for need in needs]
    for waiter in waiters:
        freeze.enter(waiter)
    freeze.hold("a", left)
    assert [waiter.thawed for waiter in waiters] == [int(not need & left) for need in needs]
    freeze.end()
    freeze.hold("a", EVERYTHING)
    assert freeze.mask == 0
    assert [waiter.thawed for waiter in waiters] == [1] * len(needs)


def test_who_has_left_is_not_called() -> None:
    freeze, waiter = Freeze(lambda: None), Waiter(1)
    freeze.hold("a", 1)
    freeze.enter(waiter)
    freeze.leave(waiter)
    freeze.hold("a", 0)
    assert waiter.thawed == 0


def test_an_access_needs_its_vcpu_and_looking_needs_nothing() -> None:
    for opcode in (Opcode.READ, Opcode.WRITE):
        for space in SPACES:
            plane = space >> 4
            wanted = {0: 1 << 3, 1: 0, 2: REST if opcode == Opcode.WRITE else 0}[plane]  # by Plane
            assert access(opcode, 3, space) == wanted


def test_switching_worlds_needs_the_vcpu_and_all_else_that_changes_state_the_rest() -> None:
    assert of(Opcode.ENTER, vcpu=5) == 1 << 5
    assert of(Opcode.EXIT, vcpu=0) == 1
    assert access(Opcode.LINE, NO_VCPU, 0) == REST
    assert of(Opcode.TIME, now=1) == REST
    assert of(Opcode.RESET, config=None) == REST


def test_a_vector_needs_what_its_entries_need() -> None:
    entries = [
        {"operation": 0x40, "space": 1, "vcpu": 2, "offset": 0, "value": 0},
        {"operation": 0x41, "space": 2, "vcpu": 7, "offset": 0, "value": 0},
        {"operation": 0x40, "space": 0x11, "vcpu": 4, "offset": 0, "value": 0},
        {"operation": 0x02, "space": 0, "vcpu": NO_VCPU, "offset": 33, "value": 1},
    ]
    for count, wanted in ((1, 1 << 2), (2, 1 << 2 | 1 << 7), (3, 1 << 2 | 1 << 7), (4, 1 << 2 | 1 << 7 | REST)):
        assert of(Opcode.VECTOR, entries=entries[:count]) == wanted


def test_every_message_that_may_change_state_needs_something() -> None:
    """Derived from the catalogue, so that a new one cannot be forgotten: it would pass through a freeze."""
    for opcode, message in messages.MESSAGES.items():
        frame = bytearray(framing.request(opcode, 1, bytes(20)))
        if opcode != Opcode.VECTOR:
            assert bool(claim(frame, 0, len(frame))) == message.effects, opcode


@given(st.binary(max_size=80))
def test_whatever_bytes_come_nothing_is_raised(data: bytes) -> None:
    assert 0 <= claim(bytearray(data), 0, len(data)) <= EVERYTHING | (1 << 16) - 1
