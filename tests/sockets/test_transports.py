"""The same conversation over every transport, in pieces of every size."""

from __future__ import annotations

import random
import socket

import pytest
import trio
import trio.lowlevel

from vgicd_protocol import framing, messages, vector
from vgicd_protocol.errors import Status
from vgicd_protocol.frames import EFFECTS, HEAD_CODEC, MORE, Opcode, Role, Space

from .conftest import Serving, WirePeer

STREAM, PACKET = socket.SOCK_STREAM, socket.SOCK_SEQPACKET


@pytest.mark.parametrize("kind", [STREAM, PACKET])
async def test_a_pipelined_batch_is_answered_in_order(serving: Serving, kind: int) -> None:
    async with serving() as served:
        peer = await served.connect(Role.CONTROL, kind)
        batch = b""
        for number in range(600):
            if number % 7 == 3:
                batch += framing.request(Opcode.PING, number)
            elif number % 7 == 5:
                batch += framing.request(Opcode.SNAPSHOT, number)
            else:
                batch += framing.hot_request(Opcode.READ, number, 0, 4, 1, 4)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(peer.send, batch)
            replies = [await peer.receive() for _ in range(600)]
        assert [reply.request_id for reply in replies] == list(range(600))
        orders = [reply.order for reply in replies]
        assert orders == sorted(orders)
        assert orders[-1] == sum(reply.opcode == Opcode.READ for reply in replies)


async def test_frames_may_come_in_pieces_of_any_size(serving: Serving) -> None:
    """A whole conversation cut at random, and once byte by byte, is answered as it is in one piece."""
    conversation = b"".join(
        (
            framing.hot_request(Opcode.WRITE, 1, 0, 4, 1, 0, 1),
            framing.request(Opcode.PING, 2),
            framing.hot_request(Opcode.READ, 3, 0, 4, 1, 0),
            framing.request(Opcode.IRQ_INFO, 4, messages.build_request(Opcode.IRQ_INFO, {"intid": 40, "vcpu": 0xFFFF})),
            framing.request(0x7D, 5, b"?" * 100),
            framing.hot_request(Opcode.LINE, 6, 0xFFFF, 0, 0, 40, 1),
        )
    )
    chance = random.Random(1)
    async with serving() as served:
        expected: list[tuple[int, int, bytes]] | None = None
        for cuts in [0, len(conversation)] + [chance.randrange(1, 12) for _ in range(20)]:
            peer = await served.connect(Role.CONTROL)
            await peer.expect(Opcode.RESET, config=None)
            borders = sorted(chance.sample(range(1, len(conversation)), min(cuts, len(conversation) - 1)))
            for start, end in zip([0, *borders], [*borders, len(conversation)], strict=True):
                await peer.send(conversation[start:end])
                await trio.lowlevel.checkpoint()
            found = [await peer.receive() for _ in range(6)]
            answers = [(reply.request_id, reply.status, reply.body) for reply in found]
            expected = expected or answers
            assert answers == expected
            await peer.expect(Opcode.BYE)


async def test_what_was_sent_before_the_peer_stopped_sending_is_answered(serving: Serving) -> None:
    async with serving() as served:
        peer = await served.connect(Role.GUEST)
        await peer.send(framing.hot_request(Opcode.READ, 1, 0, 4, 1, 4) * 3000)
        peer.sock.shutdown(socket.SHUT_WR)
        assert [(await peer.receive()).order for _ in range(3000)] == list(range(1, 3001))
        await peer.closed()


async def test_a_long_reply_comes_in_frames_that_fit(serving: Serving) -> None:
    async with serving(limits={"frame": 4096}, domain={"spis": 960, "vcpus": 8, "lrs": 64}) as served:
        peer = await served.connect(Role.CONTROL)
        await peer.send(framing.request(Opcode.SNAPSHOT, 5) + framing.request(Opcode.PING, 6))
        raw = bytearray()
        while framing.request(Opcode.PING, 6)[8:12] not in raw[-24:]:
            raw += await peer.sock.recv(1 << 16)
        frames = list(framing.FrameReader(smallest=24).feed(bytes(raw)))
        *parts, ping = [framing.reply_of(frame) for frame in frames]
        assert ping.request_id == 6
        assert len(parts) > 10
        assert {(part.opcode, part.request_id, part.status, part.order) for part in parts} == {
            (Opcode.SNAPSHOT, 5, 0, 0)
        }
        assert [part.more for part in parts] == [True] * (len(parts) - 1) + [False]
        assert all(24 + len(part.body) <= 4096 for part in parts)
        image = messages.parse_reply(Opcode.SNAPSHOT, b"".join(part.body for part in parts))["image"]
        assert image.geometry.vcpus == 8


@pytest.mark.parametrize("kind", [STREAM, PACKET])
async def test_a_long_request_comes_in_frames_and_is_applied_with_the_last(serving: Serving, kind: int) -> None:
    async with serving(domain={"spis": 960, "vcpus": 8}) as served:
        peer, witness = await served.connect(Role.CONTROL, kind), await served.connect(Role.CONTROL)
        image = messages.parse_reply(Opcode.SNAPSHOT, await witness.state())["image"]
        await witness.write(0x104, 0xF0)
        changed = await witness.state()
        body = messages.build_request(Opcode.RESTORE, {"image": image})
        assert len(body) > 65_536
        pieces = [body[at : at + 10_000] for at in range(0, len(body), 10_000)]
        for piece in pieces[:-1]:
            await peer.send(HEAD_CODEC.pack(12 + len(piece), 1, Opcode.RESTORE, MORE | EFFECTS, 3) + piece)
        assert await witness.state() == changed
        await peer.send(HEAD_CODEC.pack(12 + len(pieces[-1]), 1, Opcode.RESTORE, EFFECTS, 3) + pieces[-1])
        reply = await peer.receive()
        assert (reply.status, reply.request_id) == (Status.OK, 3)
        assert "effects" in messages.parse_reply(Opcode.RESTORE, reply.body, with_effects=True)
        assert messages.parse_reply(Opcode.SNAPSHOT, await witness.state())["image"] == image


async def test_a_message_that_ends_inside_a_frame_closes_a_seqpacket(serving: Serving) -> None:
    async with serving() as served:
        peer = await served.connect(Role.GUEST, PACKET)
        frame = framing.hot_request(Opcode.READ, 1, 0, 4, 1, 4)
        await peer.send(frame + frame[:20])
        assert (await peer.receive()).request_id == 1
        assert (await peer.fault())[0] == Status.FRAME_LENGTH


async def test_a_message_beyond_the_buffer_closes_a_seqpacket(serving: Serving) -> None:
    async with serving() as served:
        peer = await served.connect(Role.GUEST, PACKET)
        frame = framing.hot_request(Opcode.WRITE, 1, 0, 4, 1, 0, 1)
        peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 400_000)
        assert await peer.sock.send(frame * 6000) == 192_000
        code, text = await peer.fault()
        assert code == Status.FRAME_LENGTH
        assert "192000" in text
        assert served.daemon.domain.order == 0


async def test_many_replies_in_one_seqpacket_message_are_whole(serving: Serving) -> None:
    async with serving() as served:
        peer = await served.connect(Role.CONTROL, PACKET)
        await peer.send(framing.request(Opcode.SNAPSHOT, 1) * 40)
        got = 0
        while got < 40:
            message = await peer.sock.recv(1 << 18)
            frames = list(framing.FrameReader(smallest=24).feed(message))
            assert sum(12 + len(frame.body) for frame in frames) == len(message) <= 65_536
            got += sum(not framing.reply_of(frame).more for frame in frames)


async def test_tcp_on_loopback_serves_with_the_role_of_the_port(serving: Serving) -> None:
    async with serving(listen={"tcp": ["127.0.0.1:0"]}, access={"tcp_role": "observe"}) as served:
        (address,) = [address for address in served.daemon.addresses if address.startswith("tcp:")]
        host, _, port = address.removeprefix("tcp:").rpartition(":")
        with trio.socket.socket(socket.AF_INET) as sock:
            await sock.connect((host, int(port)))
            peer = WirePeer(sock)
            assert (await peer.hello()).role == Role.OBSERVE
            assert (await peer.access(Opcode.READ, 4)).status == Status.DENIED
            assert (await peer.access(Opcode.READ, 4, space=0x10 | Space.GICD)).status == Status.OK


async def test_effects_follow_the_ordinary_body(serving: Serving) -> None:
    async with serving(domain={"profile": "trace"}) as served:
        peer = await served.connect(Role.CONTROL)
        await peer.write(0x000, 1)
        await peer.write(0x820, 2, size=1)
        await peer.write(0x104, 1)
        reply = await peer.access(Opcode.LINE, 32, 1, vcpu=0xFFFF, size=0, space=1, flags=EFFECTS)
        assert reply.status == Status.OK
        effects = messages.parse_reply(Opcode.LINE, reply.body, with_effects=True)["effects"]
        assert [(effect.kind, effect.a) for effect in effects] == [(1, 1)]
        refused = await peer.access(Opcode.LINE, 2000, 1, vcpu=0xFFFF, size=0, space=0, flags=EFFECTS)
        assert (refused.status, refused.body) == (Status.BAD_INTID, bytes(8))


async def test_a_vector_answers_each_entry_as_it_would_be_answered_alone(serving: Serving) -> None:
    entries = [
        (Opcode.WRITE, 1, 0x000, 4, 1),
        (Opcode.READ, 1, 0x000, 4, 0),
        (Opcode.READ, 1, 0x002, 4, 0),
        (Opcode.WRITE, 1, 0x104, 4, 0x100),
        (Opcode.WRITE, 1, 0x828, 1, 1),
        (Opcode.WRITE, 2, 0x000, 4, 1),
        (Opcode.WRITE, 2, 0x004, 4, 0xFF),
        (Opcode.LINE, 0, 40, 0, 1),
        (Opcode.READ, 2, 0x00C, 4, 0),
        (Opcode.READ, 0x11, 0x204, 4, 0),
        (Opcode.LINE, 0, 40, 0, 0),
    ]
    for strict in (False, True):
        async with serving(domain={"strict_abort": strict}) as served:
            peer = await served.connect(Role.CONTROL)
            alone = []
            for opcode, space, address, size, value in entries:
                vcpu = 0xFFFF if opcode == Opcode.LINE else 0
                reply = await peer.access(opcode, address, value, vcpu=vcpu, size=size, space=space)
                alone.append((int.from_bytes(reply.body, "little"), reply.status, reply.outputs, 0))
            last = reply.order
            state = await peer.state()
            await peer.expect(Opcode.RESET, config=None)
            body = len(entries).to_bytes(4, "little") + b"".join(
                vector.ENTRY_CODEC.pack(value, address, 0xFFFF if opcode == 0x12 else 0, size << 4 | opcode & 15, space)
                for opcode, space, address, size, value in entries
            )
            reply = await peer.ask_raw(Opcode.VECTOR, body)
            assert reply.status == Status.OK
            assert list(vector.RESULT_CODEC.iter_unpack(reply.body[8:])) == alone
            assert reply.order == last + 1 + last
            assert await peer.state() == state


async def test_a_vector_that_is_refused_late_is_undone(serving: Serving) -> None:
    """RESTORE writes are checked as they are applied: what went before them is taken back."""
    async with serving() as served:
        peer, watcher = await served.connect(Role.CONTROL), await served.connect(Role.OBSERVE)
        await peer.write(0x000, 1)
        await watcher.expect(Opcode.SUBSCRIBE, mask=1 << 12)
        state, order = await peer.state(), served.daemon.domain.order
        good = vector.ENTRY_CODEC.pack(0xFF, 0x104, 0, 0x41, Space.GICD)
        bad = vector.ENTRY_CODEC.pack(0, 0x004, 0, 0x41, 0x20 | Space.GICD)  # TYPER holds no state
        reply = await peer.ask_raw(Opcode.VECTOR, (3).to_bytes(4, "little") + good + good + bad)
        code, field = peer.refusal(reply)
        assert (code, field) == (Status.READ_ONLY, "entries[2].address")
        assert (await peer.state(), served.daemon.domain.order) == (state, order)
        await watcher.expect(Opcode.PING)
        assert watcher.events == []


async def test_a_vector_in_which_xen_would_stop_is_refused_whole(serving: Serving) -> None:
    """D1: a line beyond the domain's SPIs is an access beyond Xen's array; the write before it is taken back."""
    async with serving(domain={"variant": "xen"}) as served:
        peer = await served.connect(Role.CONTROL)
        state, order = await peer.state(), served.daemon.domain.order
        good = vector.ENTRY_CODEC.pack(0xFF, 0x104, 0, 0x41, Space.GICD)
        fatal = vector.ENTRY_CODEC.pack(1, 500, 0xFFFF, 0x02, 0)
        reply = await peer.ask_raw(Opcode.VECTOR, (3).to_bytes(4, "little") + good + fatal + good)
        code, field = peer.refusal(reply)
        assert code == Status.FATAL_ASSERTION
        assert field.startswith("entries[1].")
        assert (await peer.state(), served.daemon.domain.order) == (state, order)
