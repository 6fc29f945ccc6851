"""A freeze delays and does nothing else: what it covers waits, what it does not cover goes on.

Here a test stands in for the debugger: it holds by the hub's own means, or from a watcher as a breakpoint would.
"""

from __future__ import annotations

import random
import socket
from collections.abc import Callable, Sequence

import pytest
import trio
from trio.testing import MockClock

from vgicd.domain.events import Event, EventKind
from vgicd.server.freeze import EVERYTHING, REST
from vgicd_protocol import framing, messages
from vgicd_protocol.errors import Status
from vgicd_protocol.events import EVENT_MASK, GAP, unpack_events
from vgicd_protocol.frames import NO_VCPU, Opcode, Role

from .conftest import Served, Serving, WirePeer

DEBUG_GICD = 0x11
ISENABLER1, CTLR = 0x104, 0x000
HOLDER = "the debugger"


class Breakpoint:
    """A watcher that holds `mask` when an event of its kinds comes that `hits`."""

    def __init__(self, served: Served, kinds: Sequence[EventKind], mask: int | None = None) -> None:
        self.mask = sum(1 << kind for kind in kinds)
        self.hits: Callable[[Event], bool] = lambda _: True
        self.seen: list[Event] = []
        self._held = mask
        self._hub = served.daemon.hub
        self._hub.watch(self)

    def see(self, events: Sequence[Event], source: object) -> None:
        self.seen += events
        for event in events:
            if self.hits(event):
                self._hub.freeze.hold(self, 1 << event.vcpu if self._held is None else self._held)

    def go_on(self) -> None:
        self._hub.freeze.hold(self, 0)

    def end(self) -> None:
        self.mask = 0
        self._hub.watch(self)
        self.go_on()


def hold(served: Served, mask: int) -> None:
    served.daemon.hub.freeze.hold(HOLDER, mask)


async def silence(peer: WirePeer) -> None:
    """Nothing comes from the daemon, however long one waits (the autojump clock says when everybody does)."""
    with trio.move_on_after(0.05) as waited:
        reply = await peer.receive_any()
        pytest.fail(f"{reply} came")
    assert waited.cancelled_caught


def hot(opcode: int, address: int, value: int = 0, *, vcpu: int = 0, space: int = 1, request_id: int = 7) -> bytes:
    size = 0 if opcode == Opcode.LINE else 4
    return framing.hot_request(opcode, request_id, vcpu, size, space, address, value)


async def test_a_frozen_access_is_answered_when_the_freeze_ends(serving: Serving, autojump_clock: MockClock) -> None:
    async with serving() as served:
        guest, observer = await served.connect(Role.GUEST), await served.connect(Role.OBSERVE)
        before = await observer.state()
        hold(served, EVERYTHING)
        await guest.send(hot(Opcode.WRITE, ISENABLER1, 4))
        await silence(guest)
        assert await observer.state() == before
        hold(served, 0)
        assert (await guest.receive()).request_id == 7
        assert await guest.read(ISENABLER1) == 4


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_SEQPACKET])
async def test_all_that_changes_state_waits(serving: Serving, kind: int, autojump_clock: MockClock) -> None:
    entry = {"operation": 0x42, "space": 1, "vcpu": 0, "offset": CTLR, "value": 0}
    requests: list[tuple[int, dict[str, object]]] = [
        (Opcode.VECTOR, {"entries": [entry | {"operation": 0x40}]}),
        (Opcode.VECTOR, {"entries": [{"operation": 2, "space": 0, "vcpu": NO_VCPU, "offset": 33, "value": 1}]}),
        (Opcode.TIME, {"now": 5}),
        (Opcode.MODE, {"explicit": True}),
        (Opcode.ENTER, {"vcpu": 0}),
        (Opcode.EXIT, {"vcpu": 0}),
        (Opcode.LR_SET, {"vcpu": 0, "index": 0, "value": 0}),
        (Opcode.GICH, {"vcpu": 0, "offset": 0, "value": 0}),
        (Opcode.PHYS_LINE, {"pirq": 40, "level": 1}),
        (Opcode.VIRQ_ALLOC, {"spi": True}),
        (Opcode.VCPU_POWER, {"vcpu": 1, "on": False}),
        (Opcode.SET_IRQ_LEVEL, {"intid": 33, "level": 1, "padding": 0}),
        (Opcode.RESET, {"config": None}),
    ]
    frames = [framing.request(opcode, 9, messages.build_request(opcode, fields)) for opcode, fields in requests]
    frames += [
        hot(Opcode.READ, CTLR),
        hot(Opcode.READ, 0x0800_0000, space=0),
        hot(Opcode.WRITE, CTLR, 1, space=0x21),
        hot(Opcode.LINE, 33, 1, vcpu=NO_VCPU, space=0),
    ]
    async with serving() as served:
        for frame in frames:
            peer = await served.connect(Role.CONTROL, kind)
            order = served.daemon.domain.order
            hold(served, EVERYTHING)
            await peer.send(frame)
            await silence(peer)
            assert served.daemon.domain.order == order
            hold(served, 0)
            await peer.receive()
            await peer.expect(Opcode.BYE)
            await served.until_connections(0)


async def test_looking_goes_on(serving: Serving, autojump_clock: MockClock) -> None:
    async with serving() as served:
        hold(served, EVERYTHING)
        peer = await served.connect(Role.CONTROL)
        await peer.expect(Opcode.PING)
        await peer.expect(Opcode.SUBSCRIBE, mask=EVENT_MASK)
        await peer.expect(Opcode.LR_GET, vcpu=0)
        await peer.expect(Opcode.STATS)
        await peer.expect(Opcode.DUMP, kind=1)
        await peer.expect(Opcode.HW_DESC, virq=40)
        await peer.expect(Opcode.IRQ_INFO, intid=33, vcpu=NO_VCPU)
        assert await peer.state()
        assert await peer.read(ISENABLER1, space=DEBUG_GICD) == 0
        entry = {"operation": 0x40, "space": DEBUG_GICD, "vcpu": 0, "offset": CTLR, "value": 0}
        await peer.expect(Opcode.VECTOR, entries=[entry])
        assert await peer.refused(Opcode.WAIT, outputs=1, milliseconds=10) == (Status.TIMEOUT, "milliseconds")
        await peer.expect(Opcode.BYE)
        await peer.closed()


async def test_in_a_frozen_world_the_rules_of_the_wire_hold(serving: Serving, autojump_clock: MockClock) -> None:
    async with serving() as served:
        hold(served, EVERYTHING)
        stranger = await served.connect(None)
        await stranger.send(hot(Opcode.READ, CTLR))
        assert (await stranger.fault())[0] == Status.NOT_HELLO
        broken = await served.connect(Role.GUEST)
        await broken.send(b"\xff\xff\xff\xff" + bytes(28))
        assert (await broken.fault())[0] == Status.FRAME_LENGTH
        slow = await served.connect(Role.GUEST)
        await slow.send(hot(Opcode.READ, CTLR)[:20])
        assert (await slow.fault())[0] == Status.FRAME_LENGTH


async def test_only_the_vcpu_that_is_frozen_waits(serving: Serving, autojump_clock: MockClock) -> None:
    async with serving() as served:
        guest, other = await served.connect(Role.GUEST), await served.connect(Role.GUEST)
        hold(served, 1 << 1)
        assert await other.read(ISENABLER1, vcpu=0) == 0
        await other.line(33, 1)
        await guest.send(hot(Opcode.READ, CTLR, vcpu=1))
        await silence(guest)
        await other.write(CTLR, 1, vcpu=0)
        entries = [{"operation": 0x40, "space": 1, "vcpu": vcpu, "offset": CTLR, "value": 0} for vcpu in (0, 1)]
        await other.expect(Opcode.VECTOR, entries=entries[:1])
        await other.send(framing.request(Opcode.VECTOR, 3, messages.build_request(Opcode.VECTOR, {"entries": entries})))
        await silence(other)
        hold(served, 0)
        assert int.from_bytes((await guest.receive()).body, "little") == 1
        await other.receive()


async def test_what_is_behind_a_frozen_request_keeps_its_place(serving: Serving, autojump_clock: MockClock) -> None:
    async with serving() as served:
        peer = await served.connect(Role.GUEST)
        hold(served, 1 << 1)
        await peer.send(
            hot(Opcode.READ, CTLR, vcpu=0, request_id=1)
            + hot(Opcode.READ, CTLR, vcpu=1, request_id=2)
            + hot(Opcode.READ, CTLR, vcpu=0, request_id=3)
            + framing.request(Opcode.PING, 4)
        )
        assert (await peer.receive()).request_id == 1
        await silence(peer)
        hold(served, 1 << 0)
        assert (await peer.receive()).request_id == 2
        await silence(peer)
        hold(served, 0)
        assert [(await peer.receive()).request_id for _ in range(2)] == [3, 4]


async def test_an_access_that_meets_a_breakpoint_is_applied_and_its_reply_withheld(
    serving: Serving, autojump_clock: MockClock
) -> None:
    async with serving() as served:
        guest, observer = await served.connect(Role.GUEST), await served.connect(Role.OBSERVE)
        breakpoint_ = Breakpoint(served, [EventKind.ACCESS], EVERYTHING)
        breakpoint_.hits = lambda event: event.address & 0xFFF == ISENABLER1 and bool(event.intid >> 8)
        await guest.send(
            hot(Opcode.WRITE, CTLR, 1, request_id=1)
            + hot(Opcode.WRITE, ISENABLER1, 4, request_id=2)
            + hot(Opcode.WRITE, ISENABLER1, 8, request_id=3)
        )
        assert (await guest.receive()).request_id == 1
        await silence(guest)
        assert await observer.read(ISENABLER1, space=DEBUG_GICD) == 4
        breakpoint_.go_on()
        assert (await guest.receive()).request_id == 2
        await silence(guest)
        assert await observer.read(ISENABLER1, space=DEBUG_GICD) == 12
        breakpoint_.end()
        assert (await guest.receive()).request_id == 3
        assert len(breakpoint_.seen) == 3


@pytest.mark.parametrize("opcode", [Opcode.VECTOR, Opcode.ENTER])
async def test_every_kind_of_request_can_meet_a_breakpoint(
    serving: Serving, opcode: int, autojump_clock: MockClock
) -> None:
    entry = {"operation": 0x41, "space": 1, "vcpu": 0, "offset": CTLR, "value": 1}
    fields = {"entries": [entry]} if opcode == Opcode.VECTOR else {"vcpu": 0}
    async with serving() as served:
        peer = await served.connect(Role.CONTROL)
        await peer.expect(Opcode.MODE, explicit=opcode == Opcode.ENTER)
        breakpoint_ = Breakpoint(served, [EventKind.ACCESS, EventKind.ENTER])
        await peer.send(framing.request(opcode, 5, messages.build_request(opcode, fields)) * 2)
        if opcode == Opcode.ENTER:
            await silence(peer)
        breakpoint_.end()
        assert [(await peer.receive()).request_id for _ in range(2)] == [5, 5]


async def test_a_breakpoint_on_another_vcpu_does_not_hold_the_one_that_caused_it(
    serving: Serving, autojump_clock: MockClock
) -> None:
    """An SGI pends at its target; only that one's next access waits."""
    async with serving() as served:
        sender, target = await served.connect(Role.GUEST), await served.connect(Role.GUEST)
        await sender.write(CTLR, 1)
        breakpoint_ = Breakpoint(served, [EventKind.PEND])
        await sender.write(0xF00, 1 << 17 | 3)
        assert [event.vcpu for event in breakpoint_.seen] == [1]
        assert await sender.read(CTLR) == 1
        await target.send(hot(Opcode.READ, CTLR, vcpu=1))
        await silence(target)
        breakpoint_.go_on()
        await target.receive()


async def test_events_follow_the_reply_that_is_withheld(serving: Serving, autojump_clock: MockClock) -> None:
    """Events of operation n follow n's reply on its own connection, and precede higher order numbers elsewhere."""
    async with serving() as served:
        guest, observer = await served.connect(Role.GUEST), await served.connect(Role.OBSERVE)
        other = await served.connect(Role.GUEST)
        for peer in (guest, observer):
            await peer.expect(Opcode.SUBSCRIBE, mask=1 << EventKind.ACCESS)
        breakpoint_ = Breakpoint(served, [EventKind.ACCESS])
        breakpoint_.hits = lambda event: event.vcpu == 1
        await guest.send(hot(Opcode.WRITE, CTLR, 1, vcpu=1))
        assert (await observer.receive_any()).opcode == Opcode.EVENT
        await other.write(CTLR, 0)
        await silence(guest)
        assert (await observer.receive_any()).opcode == Opcode.EVENT
        breakpoint_.go_on()
        replies = [await guest.receive_any() for _ in range(2)]
        assert [reply.opcode for reply in replies[:1]] == [Opcode.WRITE]
        orders = [replies[0].order]
        orders += [event.order for reply in replies[1:] for event in unpack_events(reply.body[8:])]
        if len(orders) < 3:
            orders += [event.order for event in unpack_events((await guest.receive_any()).body[8:])]
        assert orders == [replies[0].order, replies[0].order, replies[0].order + 1]


async def test_a_wait_that_ends_meanwhile_is_answered_behind_what_is_withheld(
    serving: Serving, autojump_clock: MockClock
) -> None:
    async with serving() as served:
        guest = await served.connect(Role.GUEST)
        body = messages.build_request(Opcode.WAIT, {"outputs": 1, "milliseconds": 1000})
        await guest.send(framing.request(Opcode.WAIT, 3, body))
        breakpoint_ = Breakpoint(served, [EventKind.ACCESS])
        await guest.send(hot(Opcode.WRITE, CTLR, 1))
        await trio.sleep(2)
        breakpoint_.go_on()
        assert [(await guest.receive()).request_id for _ in range(2)] == [7, 3]


async def test_no_deadline_runs_against_a_held_peer(serving: Serving, autojump_clock: MockClock) -> None:
    """Not for the frame that is half sent behind the request, and not for the events that gather."""
    limits = {"event_queue": 4, "event_full_seconds": 5.0}
    async with serving(limits=limits) as served:
        guest, other = await served.connect(Role.GUEST), await served.connect(Role.GUEST)
        await guest.expect(Opcode.SUBSCRIBE, mask=1 << EventKind.ACCESS)
        breakpoint_ = Breakpoint(served, [EventKind.ACCESS])
        breakpoint_.hits = lambda event: event.vcpu == 1
        last = hot(Opcode.READ, CTLR, request_id=8)
        await guest.send(hot(Opcode.READ, CTLR, vcpu=1) + last[:9])
        for _ in range(10):
            await other.write(CTLR, 1)
        await trio.sleep(1000)
        breakpoint_.end()
        assert (await guest.receive()).request_id == 7
        await trio.sleep(4)
        await guest.send(last[9:])
        assert (await guest.receive()).request_id == 8
        gathered = [event for reply in guest.events for event in unpack_events(reply.body[8:])]
        assert [(event.kind, event.value) for event in gathered if event.kind == GAP] == [(GAP, 6)]
        assert len(gathered) == 6


async def test_a_frames_time_begins_anew_when_the_freeze_ends(serving: Serving, autojump_clock: MockClock) -> None:
    """Deadlines are watched every 0.4 s here, and the freeze ends in between."""
    async with serving(limits={"partial_seconds": 5.0}) as served:
        start = trio.current_time()
        guest = await served.connect(Role.GUEST)
        breakpoint_ = Breakpoint(served, [EventKind.ACCESS])
        last = hot(Opcode.READ, CTLR, request_id=8)
        await guest.send(hot(Opcode.READ, CTLR) + last[:9])
        await trio.sleep(0.75)
        breakpoint_.end()
        await guest.receive()
        await trio.sleep_until(start + 0.75 + 4.9)
        await guest.send(last[9:])
        assert (await guest.receive()).request_id == 8


async def test_a_held_subscriber_that_is_gone_is_forgotten_as_soon_as_that_is_noticed(
    serving: Serving, autojump_clock: MockClock
) -> None:
    async with serving() as served:
        guest, other = await served.connect(Role.GUEST), await served.connect(Role.GUEST)
        await guest.expect(Opcode.SUBSCRIBE, mask=1 << EventKind.ACCESS)
        hold(served, 1 << 1)
        await guest.send(hot(Opcode.READ, CTLR, vcpu=1))
        await silence(guest)
        guest.sock.close()
        await other.write(CTLR, 1)
        await served.until_connections(1)
        assert not served.daemon.hub.freeze._held
        hold(served, 0)
        await other.write(CTLR, 1)


async def test_a_peer_that_leaves_while_held_is_gone_after_the_freeze(
    serving: Serving, autojump_clock: MockClock
) -> None:
    """Its requests had been received: as without a freeze, they are carried out."""
    async with serving() as served:
        guest, observer = await served.connect(Role.GUEST), await served.connect(Role.OBSERVE)
        hold(served, EVERYTHING)
        await guest.send(hot(Opcode.WRITE, ISENABLER1, 4))
        await silence(guest)
        guest.sock.close()
        await trio.sleep(100)
        hold(served, 0)
        await served.until_connections(1)
        assert await observer.read(ISENABLER1, space=DEBUG_GICD) == 4


async def test_half_a_connection_is_enough_to_be_answered(serving: Serving, autojump_clock: MockClock) -> None:
    async with serving() as served:
        guest = await served.connect(Role.GUEST)
        hold(served, EVERYTHING)
        await guest.send(hot(Opcode.WRITE, ISENABLER1, 4))
        guest.sock.shutdown(socket.SHUT_WR)
        await silence(guest)
        hold(served, 0)
        assert (await guest.receive()).status == Status.OK
        await guest.closed()


async def test_a_daemon_that_stops_answers_those_it_held(serving: Serving, autojump_clock: MockClock) -> None:
    async with serving() as served:
        waiting, withheld = await served.connect(Role.GUEST), await served.connect(Role.GUEST)
        breakpoint_ = Breakpoint(served, [EventKind.ACCESS], EVERYTHING)
        await withheld.send(hot(Opcode.WRITE, CTLR, 1, request_id=1) + hot(Opcode.WRITE, CTLR, 1, request_id=2))
        await silence(withheld)
        await waiting.send(hot(Opcode.WRITE, ISENABLER1, 4))
        await silence(waiting)
        assert len(breakpoint_.seen) == 1
        served.daemon.stop("test")
        assert (await waiting.receive()).request_id == 7
        assert [(await withheld.receive()).request_id for _ in range(2)] == [1, 2]
        for peer in (waiting, withheld):
            assert (await peer.receive()).opcode == Opcode.BYE
            await peer.closed()


async def test_two_holders_must_both_let_go(serving: Serving, autojump_clock: MockClock) -> None:
    async with serving() as served:
        guest = await served.connect(Role.GUEST)
        freeze = served.daemon.hub.freeze
        freeze.hold("a", EVERYTHING)
        freeze.hold("b", 1 << 0)
        assert freeze.holders == ["a", "b"]
        await guest.send(hot(Opcode.READ, CTLR))
        freeze.hold("a", REST)
        await silence(guest)
        freeze.hold("b", 0)
        await guest.receive()
        freeze.hold("a", 0)
        assert (freeze.mask, freeze.holders) == (0, [])


def some_request(rng: random.Random) -> bytes:
    """Looks, accesses, lines and vectors, of which some are refused."""
    match rng.randrange(10):
        case 0:
            entries = [{"operation": 0x40, "space": 1, "vcpu": v, "offset": 0x104, "value": 0} for v in (0, 1)]
            return framing.request(Opcode.VECTOR, 1, messages.build_request(Opcode.VECTOR, {"entries": entries}))
        case 1:
            return framing.request(Opcode.TIME, 1, messages.build_request(Opcode.TIME, {"now": rng.getrandbits(20)}))
        case 2:
            return framing.request(Opcode.LR_GET, 1, messages.build_request(Opcode.LR_GET, {"vcpu": 1}))
        case 3 | 4:
            return hot(Opcode.LINE, rng.randrange(30, 40), rng.randrange(3), vcpu=rng.choice((0, NO_VCPU)), space=0)
    space, address = rng.choice(
        ((1, 0x000), (1, 0x104), (1, 0x204), (1, 0x10), (2, 0x0), (2, 0x4), (2, 0xC), (0x11, 0x104))
    )
    opcode = Opcode.READ if space == 0x11 else rng.choice((Opcode.READ, Opcode.WRITE))
    value = rng.getrandbits(rng.choice((1, 8, 32))) if opcode == Opcode.WRITE else 0
    return hot(opcode, address, value, vcpu=rng.randrange(3), space=space)


Answers = list[framing.Reply]


async def converse(peer: WirePeer, parts: list[bytes]) -> Answers:
    """Send the parts, each when the one before is answered; all replies."""
    got: Answers = []
    for part in parts:
        await peer.send(part + framing.request(Opcode.PING, 2))
        got.append(await peer.receive())
        while got[-1].opcode != Opcode.PING:
            got.append(await peer.receive())
    return got


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_SEQPACKET])
async def test_neither_a_watcher_nor_any_freeze_changes_a_reply(serving: Serving, seed: int, kind: int) -> None:
    """Three equal daemons get the same requests; one is watched, and one is frozen and thawed all the time."""
    rng = random.Random(seed)
    parts = [b"".join(some_request(rng) for _ in range(rng.randrange(1, 30))) for _ in range(40)]
    async with serving() as served:
        plain = await converse(await served.connect(Role.GUEST, kind), parts)
    async with serving() as served:
        watcher = Breakpoint(served, list(EventKind))
        watcher.hits = lambda _: False
        assert await converse(await served.connect(Role.GUEST, kind), parts) == plain
        assert watcher.seen
    async with serving() as served:
        watcher = Breakpoint(served, list(EventKind))
        watcher.hits = lambda _: rng.random() < 0.05
        peer = await served.connect(Role.GUEST, kind)
        held = 0

        async def meddle() -> None:
            nonlocal held
            while True:
                hold(served, rng.choice((0, 1, 2, REST, EVERYTHING)))
                await trio.lowlevel.checkpoint()
                held += any(connection.session.held for connection in served.daemon.connections)
                hold(served, 0)
                watcher.go_on()
                await trio.lowlevel.checkpoint()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(meddle)
            assert await converse(peer, parts) == plain
            nursery.cancel_scope.cancel()
        watcher.end()
        assert held > 20
