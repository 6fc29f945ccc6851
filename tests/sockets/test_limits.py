"""Every limit, met by a peer that goes beyond it: slow, silent, greedy or many.

The clock jumps, so that thirty seconds cost nothing.
"""

from __future__ import annotations

import itertools
import socket

import pytest
import trio
import trio.lowlevel
from trio.testing import MockClock

from vgicd_protocol import framing, messages, session
from vgicd_protocol.errors import Status
from vgicd_protocol.events import GAP, unpack_events
from vgicd_protocol.frames import Opcode, Role

from .conftest import Serving, WirePeer


async def closes_within(peer: WirePeer, least: float, most: float) -> None:
    """The daemon closes the connection after `least` to `most` seconds from now."""
    start = trio.current_time()
    await peer.closed()
    assert least <= trio.current_time() - start <= most


async def test_hello_must_come_in_time(serving: Serving, autojump_clock: MockClock) -> None:
    async with serving() as served:
        peer, start = await served.connect(None), trio.current_time()
        code, _ = await peer.fault()
        assert code == Status.NOT_HELLO
        assert 5 <= trio.current_time() - start <= 6


async def test_half_a_hello_does_not_help(serving: Serving, autojump_clock: MockClock) -> None:
    async with serving() as served:
        peer, start = await served.connect(None), trio.current_time()
        await peer.send(framing.request(Opcode.HELLO, 1, bytes(20))[:14])
        assert (await peer.fault())[0] == Status.NOT_HELLO
        assert trio.current_time() - start <= 6


async def test_a_frame_must_be_finished_in_time_however_busily_it_is_sent(
    serving: Serving, autojump_clock: MockClock
) -> None:
    """Slowloris: the time runs from the first byte of the frame, not from the last that came."""
    async with serving() as served:
        peer, start = await served.connect(Role.GUEST), trio.current_time()
        frame = framing.hot_request(Opcode.READ, 1, 0, 4, 1, 4)
        for byte in frame[:-1]:
            try:
                await peer.send(bytes([byte]))
            except OSError:
                break
            await trio.sleep(0.5)
        assert (await peer.fault())[0] == Status.FRAME_LENGTH
        assert 10 <= trio.current_time() - start <= 16


async def test_a_peer_that_finishes_its_frames_may_take_for_ever(serving: Serving, autojump_clock: MockClock) -> None:
    async with serving() as served:
        peer = await served.connect(Role.GUEST)
        frame = framing.hot_request(Opcode.READ, 1, 0, 4, 1, 4)
        await peer.send(frame[:7])
        for _ in range(5):
            await trio.sleep(8)
            await peer.send(frame[7:] + frame[:7])
            assert (await peer.receive()).status == Status.OK
        await peer.send(frame[7:])
        await trio.sleep(1000)
        await peer.receive()
        await peer.expect(Opcode.PING)


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_SEQPACKET])
async def test_a_peer_that_does_not_read_is_read_no_further_and_then_closed(
    serving: Serving, autojump_clock: MockClock, kind: int
) -> None:
    async with serving() as served:
        peer, other = await served.connect(Role.CONTROL, kind), await served.connect(Role.CONTROL)
        start = trio.current_time()
        batch = b"".join(framing.request(Opcode.SNAPSHOT, number) for number in range(64))
        sent = 0
        try:
            while sent < 640_000:  # replies of some 10 KiB each: what is not read is not made either
                await peer.send(batch)
                sent += 64
        except OSError:
            pass
        assert trio.current_time() - start <= 7
        assert sent < 64_000
        (connection,) = [c for c in served.daemon.connections if c.session.role]
        assert len(connection.session.out) < 1 << 20
        await other.expect(Opcode.PING)


async def test_a_slow_reader_gets_everything(serving: Serving, autojump_clock: MockClock) -> None:
    """Back pressure is no fault as long as some of it is taken in time."""
    async with serving() as served:
        peer = await served.connect(Role.CONTROL)
        wanted = 300
        async with trio.open_nursery() as nursery:
            nursery.start_soon(peer.send, b"".join(framing.request(Opcode.SNAPSHOT, n) for n in range(wanted)))
            for number in range(wanted):
                if number % 50 == 0:
                    await trio.sleep(2)
                reply = await peer.receive()
                assert (reply.status, reply.request_id) == (Status.OK, number)


async def take_slowly(peer: WirePeer, replies: int) -> None:
    """Take the replies 0 to `replies` - 1, all but the last few at 32 KiB in some three seconds."""
    peer.portion = 1 << 15
    for number in range(replies):
        if number < replies - 50:
            await trio.sleep(1)
        reply = await peer.receive()
        assert (reply.status, reply.request_id) == (Status.OK, number)


async def test_a_peer_that_always_takes_some_is_not_slow(serving: Serving, autojump_clock: MockClock) -> None:
    async with serving() as served:
        peer, start = await served.connect(Role.CONTROL), trio.current_time()
        await peer.send(b"".join(framing.request(Opcode.SNAPSHOT, number) for number in range(150)))
        await take_slowly(peer, 150)
        assert trio.current_time() - start >= 100
        await peer.expect(Opcode.PING)


async def test_a_frame_that_is_not_read_is_not_late(serving: Serving, autojump_clock: MockClock) -> None:
    """While replies wait for the peer nothing is read; the rest of a frame may lie in the kernel for long."""
    async with serving() as served:
        peer, last = await served.connect(Role.CONTROL), framing.request(Opcode.PING, 150)
        await peer.send(b"".join(framing.request(Opcode.SNAPSHOT, number) for number in range(150)) + last[:5])
        await take_slowly(peer, 150)
        await trio.sleep(5)
        await peer.send(last[5:])
        assert (await peer.receive()).request_id == 150


async def test_the_connections_of_a_user_are_limited(serving: Serving) -> None:
    async with serving(limits={"connections_per_uid": 3}) as served:
        peers = [await served.connect() for _ in range(3)]
        extra = await served.connect(None)
        code, text = await extra.fault()
        assert code == Status.BUSY
        assert "3" in text
        peers[0].sock.close()
        await served.until_connections(2)
        await (await served.connect()).expect(Opcode.PING)


async def test_the_connections_of_all_are_limited(serving: Serving) -> None:
    async with serving(limits={"connections": 2}) as served:
        peers = [await served.connect() for _ in range(2)]
        assert (await (await served.connect(None)).fault())[0] == Status.BUSY
        for peer in peers:
            await peer.expect(Opcode.PING)


async def test_a_subscriber_that_reads_too_slowly_is_told_what_it_lost(
    serving: Serving, autojump_clock: MockClock
) -> None:
    async with serving(limits={"event_queue": 50, "write_seconds": 100.0}) as served:
        slow, fast = await served.connect(Role.OBSERVE), await served.connect(Role.GUEST)
        await slow.expect(Opcode.SUBSCRIBE, mask=1 << 12)  # ACCESS
        accesses = 0
        while not any(len(c.session.events) >= 50 for c in served.daemon.connections):
            await fast.read(0x004)
            accesses += 1
        for _ in range(20):
            await fast.read(0x004)
            accesses += 1
        await slow.send(framing.request(Opcode.PING, 7))
        await slow.receive()
        events = [event for frame in slow.events for event in unpack_events(frame.body[8:])]
        gaps = [event for event in events if event.kind == GAP]
        assert [event.order for event in events] == sorted(event.order for event in events)
        assert len(gaps) == 1
        assert len(events) - 1 + gaps[0].value == accesses
        after = events[events.index(gaps[0]) + 1]
        assert after.order == gaps[0].order + 1


async def test_an_event_queue_that_stays_full_closes(serving: Serving, autojump_clock: MockClock) -> None:
    limits = {"event_queue": 10, "write_seconds": 3000.0, "event_full_seconds": 30.0}
    async with serving(limits=limits) as served:
        slow, fast = await served.connect(Role.OBSERVE), await served.connect(Role.GUEST)
        await slow.expect(Opcode.SUBSCRIBE, mask=1 << 12)
        while not any(c.session.events.full_since is not None for c in served.daemon.connections):
            await fast.read(0x004)
        start = trio.current_time()
        await served.until_connections(1)
        assert 30 <= trio.current_time() - start <= 37
        await fast.expect(Opcode.PING)


async def test_outstanding_waits_are_limited(serving: Serving) -> None:
    async with serving(limits={"waits": 2}) as served:
        peer = await served.connect(Role.GUEST)
        for number in (1, 2):
            await peer.send(framing.request(Opcode.WAIT, number, b"\1\0\0\0" + (60_000).to_bytes(4, "little")))
        assert await peer.refused(Opcode.WAIT, outputs=1, milliseconds=5) == (Status.TOO_MANY, "")


async def test_a_busy_peer_does_not_starve_another(serving: Serving) -> None:
    """One connection with thousands of operations buffered gets one turn of 256 before the other gets its own."""
    async with serving() as served:
        busy, quiet = await served.connect(Role.GUEST), await served.connect(Role.GUEST)
        many = 4000
        orders: list[int] = []

        async def receive_all() -> None:
            for _ in range(many):
                orders.append((await busy.receive()).order)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(busy.send, framing.hot_request(Opcode.READ, 1, 0, 4, 1, 4) * many)
            nursery.start_soon(receive_all)
            quiets = [(await quiet.access(Opcode.READ, 4)).order for _ in range(6)]
        gaps = [after - before for before, after in itertools.pairwise(quiets)]
        assert sorted(orders + quiets) == list(range(1, many + 7))
        assert min(gaps) < many / 4, "the quiet peer had to wait until the busy one was done"


async def test_a_vector_is_never_split_by_a_turn(serving: Serving) -> None:
    from vgicd_protocol import vector

    async with serving(limits={"operations_per_turn": 16}) as served:
        peer, other = await served.connect(Role.GUEST), await served.connect(Role.GUEST)
        entry = vector.ENTRY_CODEC.pack(0, 4, 0, 0x40, 1)
        body = (1024).to_bytes(4, "little") + entry * 1024
        await other.send(framing.hot_request(Opcode.READ, 1, 0, 4, 1, 4) * 100)
        reply = await peer.ask_raw(Opcode.VECTOR, body)
        taken = [(await other.receive()).order for _ in range(100)]
        assert not set(taken) & set(range(reply.order - 1023, reply.order + 1))


async def test_guest_caused_log_lines_are_bounded(serving: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    """XSA-118: a guest that faults in a loop does not fill the log."""
    from vgicd.server import session

    lines: list[str] = []

    class Recorder:
        def info(self, event: str, **_: object) -> None:
            lines.append(event)

        warning = exception = info

    monkeypatch.setattr(session, "log", Recorder())
    async with serving(domain={"strict_abort": True}) as served:
        peer = await served.connect(Role.GUEST)
        for _ in range(500):
            assert (await peer.access(Opcode.READ, 0x006, size=4)).status == Status.ABORT
            assert (await peer.refused(Opcode.LR_GET, vcpu=9))[0] == Status.BAD_VCPU
        seconds = int(trio.current_time()) - int(served.daemon.shared.lines._second) + 2
        assert 0 < len(lines) <= 10 * (seconds + 5)
        assert served.daemon.lines.suppressed > 0


@pytest.mark.parametrize(
    ("limits", "entries"), [({}, 1024), ({"frame": 4096}, 255), ({"frame": 4096, "vector_entries": 100}, 100)]
)
async def test_a_vector_of_as_many_entries_as_welcome_promises_is_served(
    serving: Serving, limits: dict[str, int], entries: int
) -> None:
    """And one more is refused, or does not fit into a frame."""
    async with serving(limits=limits) as served:
        peer = await served.connect(None)
        promised = (await peer.expect(Opcode.HELLO, **session.Hello().fields()))["limits"]
        assert promised["entries"] == entries
        read = {"value": 0, "offset": 4, "vcpu": 0, "operation": 0x40, "space": 1}
        results = (await peer.expect(Opcode.VECTOR, entries=[read] * entries))["results"]
        assert len(results) == entries
        body = messages.build_request(Opcode.VECTOR, {"entries": [read] * entries})
        longer = (entries + 1).to_bytes(4, "little") + body[4:] + body[-16:]
        assert len(framing.request(Opcode.VECTOR, 1, longer, limit=1 << 20)) > promised["frame"] or (
            await peer.ask_raw(Opcode.VECTOR, longer)
        ).status in (Status.TOO_MANY, Status.BAD_BODY)
