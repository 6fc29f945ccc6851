"""Events and WAITs: what is told to whom, and in which order."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from vgicd_protocol import framing, messages
from vgicd_protocol.errors import Status
from vgicd_protocol.events import Event, EventKind, unpack_events
from vgicd_protocol.frames import Opcode, Role
from vgicd_protocol.framing import Reply

from .conftest import Serving, WirePeer

ALL = sum(1 << kind for kind in EventKind)
ACCESS = 1 << EventKind.ACCESS
OUTPUT = 1 << EventKind.OUTPUT


def events_of(frames: list[Reply]) -> list[Event]:
    for frame in frames:
        assert (frame.opcode, frame.status) == (Opcode.EVENT, Status.OK)
        messages.parse_events(frame.body)  # the declarations accept what the codec has packed
    return [event for frame in frames for event in unpack_events(frame.body[8:])]


async def next_events(peer: WirePeer) -> list[Event]:
    return events_of([await peer.receive_any()])


async def raise_spi(peer: WirePeer, intid: int = 40) -> None:
    """Make the vIRQ of vCPU 0 rise with the level interrupt `intid`."""
    await peer.write(0xC00 + intid // 16 * 4, 0)
    await peer.write(0x000, 1)
    await peer.write(0x100 + intid // 32 * 4, 1 << intid % 32)
    await peer.write(0x400 + intid, 0x40, size=1)
    await peer.write(0x800 + intid, 1, size=1)
    await peer.write(0x000, 0x1, space=2)
    await peer.write(0x004, 0xFF, space=2)
    reply = await peer.line(intid, 1)
    assert reply.outputs & 1


async def test_own_events_follow_the_reply_and_precede_the_next_one(serving: Serving) -> None:
    async with serving() as served:
        peer = await served.connect(Role.GUEST)
        await peer.expect(Opcode.SUBSCRIBE, mask=ACCESS)
        await peer.send(b"".join(framing.hot_request(Opcode.READ, n, 0, 4, 1, 4) for n in (1, 2)))
        first, event_1, second, event_2 = [await peer.receive_any() for _ in range(4)]
        assert (first.request_id, second.request_id) == (1, 2)
        assert [event.order for event in events_of([event_1])] == [first.order]
        assert [event.order for event in events_of([event_2])] == [second.order]


async def test_events_carry_the_id_of_their_subscription(serving: Serving) -> None:
    async with serving() as served:
        peer, other = await served.connect(Role.OBSERVE), await served.connect(Role.GUEST)
        await peer.send(
            framing.request(Opcode.SUBSCRIBE, 77, messages.build_request(Opcode.SUBSCRIBE, {"mask": ACCESS}))
        )
        assert (await peer.receive()).request_id == 77
        await other.read(4)
        assert (await peer.receive_any()).request_id == 77


async def test_others_see_the_events_of_an_operation_before_any_higher_order_number(serving: Serving) -> None:
    async with serving() as served:
        busy, watcher = await served.connect(Role.GUEST), await served.connect(Role.GUEST)
        await watcher.expect(Opcode.SUBSCRIBE, mask=ACCESS)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(busy.send, framing.hot_request(Opcode.READ, 1, 0, 4, 1, 4) * 2000)
            nursery.start_soon(watcher.send, framing.hot_request(Opcode.READ, 2, 0, 4, 1, 4) * 500)
            seen: list[int] = []
            replies: list[int] = []
            while len(replies) < 500 or len(seen) < 2500:
                reply = await watcher.receive_any()
                if reply.opcode == Opcode.EVENT:
                    seen += [event.order for event in events_of([reply])]
                else:
                    replies.append(reply.order)
                    missing = set(range(1, reply.order)) - set(seen)
                    assert not missing, f"reply {reply.order} came before the events of {sorted(missing)[:3]}"
            for _ in range(2000):
                await busy.receive()
        assert seen == list(range(1, 2501))
        assert replies == sorted(replies)


async def test_only_what_was_asked_for_is_sent_and_only_while_it_is(serving: Serving) -> None:
    async with serving() as served:
        peer, other = await served.connect(Role.OBSERVE), await served.connect(Role.GUEST)
        await peer.expect(Opcode.SUBSCRIBE, mask=OUTPUT)
        await other.read(4)
        await raise_spi(other)
        (event,) = await next_events(peer)
        assert (event.kind, event.value) == (EventKind.OUTPUT, 1)
        await peer.expect(Opcode.SUBSCRIBE, mask=0)
        await other.line(40, 0)
        await peer.expect(Opcode.PING)
        assert peer.events == []


async def test_subscribers_have_masks_of_their_own(serving: Serving) -> None:
    async with serving() as served:
        a, b, actor = [await served.connect(Role.GUEST) for _ in range(3)]
        await a.expect(Opcode.SUBSCRIBE, mask=ACCESS)
        await b.expect(Opcode.SUBSCRIBE, mask=1 << EventKind.LINE)
        await actor.read(4)
        await actor.line(40, 1)
        assert [event.kind for event in await next_events(a)] == [EventKind.ACCESS]
        assert [event.kind for event in await next_events(b)] == [EventKind.LINE]


async def test_a_subscription_ends_with_its_connection(serving: Serving) -> None:
    async with serving() as served:
        peer, actor = await served.connect(Role.OBSERVE), await served.connect(Role.GUEST)
        await peer.expect(Opcode.SUBSCRIBE, mask=ALL)
        peer.sock.close()
        await served.until_connections(1)
        assert not served.daemon.hub.armed
        assert served.daemon.domain.vgic.watched == 0
        await actor.read(4)


async def test_a_reset_is_an_event_and_leaves_the_subscription(serving: Serving) -> None:
    async with serving() as served:
        peer, actor = await served.connect(Role.OBSERVE), await served.connect(Role.CONTROL)
        await peer.expect(Opcode.SUBSCRIBE, mask=1 << EventKind.RESET | ACCESS)
        await actor.expect(Opcode.RESET, config={"vcpus": 4})
        assert [event.kind for event in await next_events(peer)] == [EventKind.RESET]
        await actor.read(4, vcpu=3)
        assert [event.kind for event in await next_events(peer)] == [EventKind.ACCESS]


# --- WAIT -------------------------------------------------------------------------------------------------------


def wait(number: int, outputs: int = 1, milliseconds: int = 60_000) -> bytes:
    body = messages.build_request(Opcode.WAIT, {"outputs": outputs, "milliseconds": milliseconds})
    return framing.request(Opcode.WAIT, number, body)


async def test_a_wait_is_answered_when_the_output_rises_and_nothing_else_is_held_up(serving: Serving) -> None:
    async with serving() as served:
        sleeper, actor = await served.connect(Role.GUEST), await served.connect(Role.GUEST)
        await sleeper.send(wait(7))
        await sleeper.expect(Opcode.PING)
        await raise_spi(actor)
        reply = await sleeper.receive()
        assert (reply.opcode, reply.request_id, reply.status) == (Opcode.WAIT, 7, Status.OK)
        assert reply.outputs & 1
        assert reply.order == served.daemon.domain.order


async def test_a_wait_for_a_high_output_is_answered_at_once(serving: Serving) -> None:
    async with serving() as served:
        peer = await served.connect(Role.GUEST)
        await raise_spi(peer)
        await peer.expect(Opcode.WAIT, outputs=1, milliseconds=60_000)


async def test_a_wait_on_the_connection_that_raises_the_output_follows_that_reply(serving: Serving) -> None:
    async with serving() as served:
        peer = await served.connect(Role.GUEST)
        await raise_spi(peer)
        await peer.line(40, 0)
        assert served.daemon.domain.outputs == 0
        line = framing.hot_request(Opcode.LINE, 8, 0xFFFF, 0, 0, 40, 1)
        await peer.send(wait(7) + line + framing.request(Opcode.PING, 9))
        assert [(await peer.receive()).request_id for _ in range(3)] == [8, 7, 9]


async def test_another_output_does_not_answer_it(serving: Serving, autojump_clock: MockClock) -> None:
    async with serving() as served:
        sleeper, actor = await served.connect(Role.GUEST), await served.connect(Role.GUEST)
        await sleeper.send(wait(7, outputs=0b1110, milliseconds=500))
        await raise_spi(actor)
        start = trio.current_time()
        reply = await sleeper.receive()
        assert reply.status == Status.TIMEOUT
        assert 0.4 <= trio.current_time() - start <= 0.6


@pytest.mark.parametrize("milliseconds", [0, 1, 250, 3_600_000])
async def test_the_deadline_is_the_servers(serving: Serving, autojump_clock: MockClock, milliseconds: int) -> None:
    async with serving() as served:
        peer = await served.connect(Role.GUEST)
        start = trio.current_time()
        with trio.fail_after(10_000):
            await peer.send(wait(7, milliseconds=milliseconds))
            await peer.sock.recv(0)
            peer_reply = await _patient(peer)
        assert WirePeer.refusal(peer_reply) == (Status.TIMEOUT, "milliseconds")
        assert trio.current_time() - start == pytest.approx(milliseconds / 1000, abs=0.01)


async def _patient(peer: WirePeer) -> Reply:
    await trio.lowlevel.wait_readable(peer.sock)
    return await peer.receive()


async def test_deadlines_end_in_their_own_order(serving: Serving, autojump_clock: MockClock) -> None:
    async with serving() as served:
        peer = await served.connect(Role.GUEST)
        await peer.send(wait(1, milliseconds=3000) + wait(2, milliseconds=1000) + wait(3, milliseconds=2000))
        assert [(await peer.receive()).request_id for _ in range(3)] == [2, 3, 1]
        assert not served.daemon.hub.armed


async def test_a_wait_names_outputs_that_exist(serving: Serving) -> None:
    async with serving() as served:  # two vCPUs
        peer = await served.connect(Role.GUEST)
        assert await peer.refused(Opcode.WAIT, outputs=0x10, milliseconds=1) == (Status.BAD_VALUE, "outputs")


async def test_waits_end_with_bye_and_with_their_connection(serving: Serving) -> None:
    async with serving() as served:
        peer, other = await served.connect(Role.GUEST), await served.connect(Role.GUEST)
        await other.send(wait(1))
        await other.expect(Opcode.PING)
        await peer.send(wait(2) + framing.request(Opcode.BYE, 3))
        first, last = await peer.receive(), await peer.receive()
        assert (first.request_id, first.status) == (2, Status.TIMEOUT)
        assert (last.opcode, last.request_id, last.status) == (Opcode.BYE, 3, Status.OK)
        await peer.closed()
        other.sock.close()
        await served.until_connections(0)
        assert not served.daemon.hub.armed
