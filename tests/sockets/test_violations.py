"""One test for each way of breaking the protocol: the documented answer, and a domain that is as it was.

A request fault is an error reply, after which the connection goes on.  A framing fault is one ERROR frame, after which
the daemon closes.  Neither leaves a trace in the domain, which `Watched` checks by its state image.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio

from vgicd_protocol import framing, messages, session, vector
from vgicd_protocol.errors import Status
from vgicd_protocol.frames import EFFECTS, HEAD_CODEC, HOT_SIZE, MORE, Opcode, Role, Space

from .conftest import Served, Serving, WirePeer

TYPER, CTLR, ISENABLER1 = 0x004, 0x000, 0x104


@asynccontextmanager
async def watched(serving: Serving, role: int = Role.CONTROL) -> AsyncIterator[tuple[Served, WirePeer]]:
    """A daemon with some state, and a peer; afterwards the state must be what it was, as a second peer sees it."""
    async with serving() as served:
        witness = await served.connect(Role.CONTROL)
        await witness.write(CTLR, 1)
        await witness.write(ISENABLER1, 0xF0)
        await witness.line(36, 1)
        before = await witness.state()
        yield served, await served.connect(role)
        assert await witness.state() == before


def head(length: int, opcode: int, version: int = 1, flags: int = 0, request_id: int = 7) -> bytes:
    return HEAD_CODEC.pack(length, version, opcode, flags, request_id)


# --- framing faults ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [0, 4, 11, 65_537, 0xFFFF_FFFF])
async def test_a_length_outside_the_limits_closes(serving: Serving, length: int) -> None:
    async with watched(serving) as (_, peer):
        await peer.send(head(length, Opcode.PING))
        code, text = await peer.fault()
        assert code == Status.FRAME_LENGTH
        assert str(length) in text


async def test_a_bad_length_is_refused_before_the_rest_of_the_head_comes(serving: Serving) -> None:
    async with watched(serving) as (_, peer):
        await peer.send(b"\xff\xff\xff\xff")
        assert (await peer.fault())[0] == Status.FRAME_LENGTH


@pytest.mark.parametrize("opcode", [Opcode.PING, Opcode.READ])
async def test_another_version_closes(serving: Serving, opcode: int) -> None:
    async with watched(serving) as (_, peer):
        await peer.send(head(32, opcode, version=2) + bytes(20))
        assert (await peer.fault())[0] == Status.VERSION


async def test_what_came_before_a_framing_fault_is_answered_and_nothing_after_it_is(serving: Serving) -> None:
    async with watched(serving) as (_, peer):
        ping = framing.request(Opcode.PING, 1)
        await peer.send(ping + head(3, Opcode.PING) + framing.hot_request(Opcode.WRITE, 9, 0, 4, 1, CTLR, 0))
        assert (await peer.receive()).request_id == 1
        assert (await peer.fault())[0] == Status.FRAME_LENGTH


async def test_a_truncated_frame_is_dropped_without_an_effect(serving: Serving) -> None:
    async with watched(serving) as (_, peer):
        await peer.send(framing.hot_request(Opcode.WRITE, 9, 0, 4, 1, CTLR, 0)[:-1])
        peer.sock.shutdown(trio.socket.SHUT_WR)
        await peer.closed()


async def test_a_frame_of_another_request_inside_an_upload_closes(serving: Serving) -> None:
    async with watched(serving) as (_, peer):
        await peer.send(head(12 + 8, Opcode.RESTORE, flags=MORE) + bytes(8))
        await peer.send(framing.hot_request(Opcode.WRITE, 9, 0, 4, 1, CTLR, 0))
        assert (await peer.fault())[0] == Status.FRAME_ORDER


@pytest.mark.parametrize("place", [0, 1, 2])
async def test_a_reserved_flag_on_any_frame_of_an_upload_is_refused_at_its_end(serving: Serving, place: int) -> None:
    async with watched(serving) as (_, peer):
        image = messages.parse_reply(Opcode.SNAPSHOT, await peer.state())["image"]
        body = messages.build_request(Opcode.RESTORE, {"image": image})
        for number, part in enumerate((body[:100], body[100:200], body[200:])):
            flags = (0 if number == 2 else MORE) | (1 << 9 if number == place else 0)
            await peer.send(head(12 + len(part), Opcode.RESTORE, flags=flags) + part)
        assert peer.refusal(await peer.receive()) == (Status.RESERVED_BITS, "status")
        await peer.expect(Opcode.PING)


# --- HELLO ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("opcode", [Opcode.PING, Opcode.READ, Opcode.SNAPSHOT, 0x99])
async def test_nothing_is_served_before_hello(serving: Serving, opcode: int) -> None:
    async with watched(serving) as (served, _):
        peer = await served.connect(None)
        await peer.send(head(32, opcode) + bytes(20))
        assert (await peer.fault())[0] == Status.NOT_HELLO


async def test_a_hello_without_the_magic_closes(serving: Serving) -> None:
    async with watched(serving) as (served, _):
        peer = await served.connect(None)
        body = messages.build_request(Opcode.HELLO, session.Hello().fields())
        await peer.send(framing.request(Opcode.HELLO, 1, b"HTTP" + body[4:]))
        assert (await peer.fault())[0] == Status.BAD_BODY


@pytest.mark.parametrize("cut", [1, 4])
async def test_a_hello_that_is_cut_short_closes(serving: Serving, cut: int) -> None:
    async with watched(serving) as (served, _):
        peer = await served.connect(None)
        body = messages.build_request(Opcode.HELLO, session.Hello().fields())
        await peer.send(framing.request(Opcode.HELLO, 1, body[:-cut]))
        assert (await peer.fault())[0] == Status.BAD_BODY


async def test_versions_that_do_not_meet_close(serving: Serving) -> None:
    async with watched(serving) as (served, _):
        peer = await served.connect(None)
        hello = session.Hello(lowest=2, highest=3).fields()
        await peer.send(framing.request(Opcode.HELLO, 1, messages.build_request(Opcode.HELLO, hello)))
        code, text = await peer.fault()
        assert code == Status.VERSION
        assert "2 to 3" in text


async def test_a_second_hello_is_refused_and_changes_no_role(serving: Serving) -> None:
    async with watched(serving, Role.OBSERVE) as (_, peer):
        hello = session.Hello(role=Role.CONTROL).fields()
        assert await peer.refused(Opcode.HELLO, **hello) == (Status.NOT_HELLO, "")
        assert await peer.refused(Opcode.RESET, config=None) == (Status.DENIED, "")


async def test_a_feature_that_is_not_offered_is_refused_and_may_be_asked_for_without(serving: Serving) -> None:
    async with watched(serving) as (served, _):
        peer = await served.connect(None)
        hello = session.Hello(features=int(session.Feature.JOURNAL)).fields()
        assert await peer.refused(Opcode.HELLO, **hello) == (Status.UNSUPPORTED, "features")
        assert (await peer.hello()).role == Role.CONTROL


# --- request faults: opcode, flags, body ------------------------------------------------------------------------


@pytest.mark.parametrize("opcode", [0x00, 0x04, 0x14, Opcode.JOURNAL, Opcode.EVENT, Opcode.ERROR, 0x80, 0xFF])
async def test_an_unknown_opcode_is_unsupported_and_the_connection_stays(serving: Serving, opcode: int) -> None:
    async with watched(serving) as (_, peer):
        await peer.send(head(40, opcode) + bytes(28))
        reply = await peer.receive()
        assert (reply.status, reply.request_id) == (Status.UNSUPPORTED, 7)
        await peer.expect(Opcode.PING)


@pytest.mark.parametrize(
    ("opcode", "flags"),
    [
        (Opcode.PING, EFFECTS),
        (Opcode.PING, MORE),
        (Opcode.PING, 1 << 15),
        (Opcode.SNAPSHOT, EFFECTS),
        (Opcode.RESTORE, 1 << 2),
    ],
)
async def test_a_flag_without_a_meaning_is_refused(serving: Serving, opcode: int, flags: int) -> None:
    async with watched(serving) as (_, peer):
        assert peer.refusal(await peer.ask_raw(opcode, flags=flags)) == (Status.RESERVED_BITS, "status")
        await peer.expect(Opcode.PING)


@pytest.mark.parametrize("flags", [MORE, 1 << 2, EFFECTS | 1 << 9])
@pytest.mark.parametrize("opcode", [Opcode.READ, Opcode.WRITE, Opcode.LINE])
async def test_a_reserved_flag_of_a_hot_request_is_refused(serving: Serving, opcode: int, flags: int) -> None:
    async with watched(serving) as (_, peer):
        size = 0 if opcode == Opcode.LINE else 4
        reply = await peer.access(opcode, 36, space=1, size=size, flags=flags)
        assert peer.refusal(reply)[0] == Status.RESERVED_BITS


async def test_effects_of_a_vector_are_refused(serving: Serving) -> None:
    async with watched(serving) as (_, peer):
        body = (1).to_bytes(4, "little") + vector.ENTRY_CODEC.pack(0, CTLR, 0, 0x41, Space.GICD)
        assert peer.refusal(await peer.ask_raw(Opcode.VECTOR, body, EFFECTS)) == (Status.RESERVED_BITS, "status")


async def test_reserved_fields_of_a_body_are_refused(serving: Serving) -> None:
    async with watched(serving) as (_, peer):
        assert peer.refusal(await peer.ask_raw(Opcode.LR_GET, b"\0\0\1\0"))[0] == Status.RESERVED_BITS
        assert (await peer.access(Opcode.READ, TYPER, 1)).status == Status.RESERVED_BITS
        assert (await peer.access(Opcode.LINE, 36, 0, space=0, size=4)).status == Status.RESERVED_BITS


@pytest.mark.parametrize("body", [b"", b"\0", b"\0\0\0\0\0"])
async def test_a_body_of_the_wrong_length_is_refused(serving: Serving, body: bytes) -> None:
    async with watched(serving) as (_, peer):
        assert peer.refusal(await peer.ask_raw(Opcode.LR_GET, body))[0] == Status.BAD_BODY
        await peer.expect(Opcode.PING)


@pytest.mark.parametrize("length", [12, 28, 31, 33, 64])
@pytest.mark.parametrize("opcode", [Opcode.READ, Opcode.WRITE, Opcode.LINE])
async def test_a_hot_request_that_is_not_32_bytes_is_refused(serving: Serving, opcode: int, length: int) -> None:
    async with watched(serving) as (_, peer):
        size = 0 if opcode == Opcode.LINE else 4
        whole = framing.hot_request(opcode, 7, 0, size, Space.GICD, CTLR)[12:] + bytes(64)
        await peer.send(head(length, opcode) + whole[: length - 12])
        reply = await peer.receive()
        assert (reply.status, len(reply.body)) == (Status.BAD_BODY, HOT_SIZE - 24)
        await peer.expect(Opcode.PING)


# --- request faults: what the domain does not have --------------------------------------------------------------


@pytest.mark.parametrize("vcpu", [2, 8, 0xFFFE, 0xFFFF])
async def test_an_unknown_vcpu_is_refused_everywhere(serving: Serving, vcpu: int) -> None:
    """CVE-2024-36953: an index of a vCPU that does not exist is an answer, never an access."""
    async with watched(serving) as (_, peer):
        assert (await peer.access(Opcode.READ, TYPER, vcpu=vcpu)).status == Status.BAD_VCPU
        assert (await peer.access(Opcode.WRITE, CTLR, 0, vcpu=vcpu)).status == Status.BAD_VCPU
        assert (await peer.access(Opcode.LINE, 27, 1, vcpu=vcpu, size=0, space=0)).status in (
            Status.BAD_VCPU,
            Status.BAD_INTID,
        )
        for opcode, fields in {
            Opcode.LR_GET: {},
            Opcode.ENTER: {},
            Opcode.EXIT: {},
            Opcode.PENDING_CHECK: {"kind": 0},
            Opcode.LR_SET: {"index": 0, "value": 0},
            Opcode.GICH: {"offset": 0, "value": 0},
            Opcode.VCPU_MOVE: {"pcpu": 0},
            Opcode.VCPU_POWER: {"on": False},
        }.items():
            assert (await peer.refused(opcode, vcpu=vcpu, **fields))[0] == Status.BAD_VCPU


@pytest.mark.parametrize(
    ("space", "address"),
    [(Space.GICD, 0x1000), (Space.GICC, 0x2000), (Space.GICH, 0x1000), (Space.GICD, 1 << 63)],
)
async def test_an_offset_outside_its_frame_is_refused(serving: Serving, space: int, address: int) -> None:
    async with watched(serving) as (_, peer):
        assert (await peer.access(Opcode.READ, address, space=space)).status == Status.BAD_ADDRESS
        assert (await peer.access(Opcode.WRITE, address, 1, space=space)).status == Status.BAD_ADDRESS


@pytest.mark.parametrize("size", [0, 3, 5, 16, 255])
async def test_an_odd_width_is_refused(serving: Serving, size: int) -> None:
    async with watched(serving) as (_, peer):
        assert (await peer.access(Opcode.READ, TYPER, size=size)).status == Status.BAD_SIZE
        assert (await peer.access(Opcode.WRITE, CTLR, 0, size=size)).status == Status.BAD_SIZE


@pytest.mark.parametrize("space", [5, 0xF, 0x15, 0x30, 0xFF])
async def test_an_unknown_space_or_plane_is_refused(serving: Serving, space: int) -> None:
    async with watched(serving) as (_, peer):
        assert (await peer.access(Opcode.READ, TYPER, space=space)).status == Status.BAD_VALUE
        assert (await peer.access(Opcode.WRITE, CTLR, 0, space=space)).status == Status.BAD_VALUE


@pytest.mark.parametrize("intid", [36 + 64, 1020, 1023, 1 << 40])
async def test_an_unknown_interrupt_is_refused(serving: Serving, intid: int) -> None:
    async with watched(serving) as (_, peer):
        assert (await peer.access(Opcode.LINE, intid, 1, vcpu=0xFFFF, size=0, space=0)).status == Status.BAD_INTID


async def test_a_line_is_up_or_down(serving: Serving) -> None:
    async with watched(serving) as (_, peer):
        assert (await peer.access(Opcode.LINE, 36, 2, vcpu=0xFFFF, size=0, space=0)).status == Status.BAD_VALUE
        assert (await peer.access(Opcode.LINE, 36, 1, vcpu=0xFFFF, size=0, space=2)).status == Status.BAD_VALUE


async def test_the_debug_plane_is_for_reading(serving: Serving) -> None:
    async with watched(serving) as (_, peer):
        reply = await peer.access(Opcode.WRITE, CTLR, 0, space=0x10 | Space.GICD)
        assert reply.status == Status.READ_ONLY


async def test_explicit_operations_in_automatic_mode_are_refused(serving: Serving) -> None:
    async with watched(serving) as (_, peer):
        assert (await peer.refused(Opcode.ENTER, vcpu=0))[0] == Status.BAD_STATE
        assert (await peer.refused(Opcode.LR_SET, vcpu=0, index=0, value=0))[0] == Status.BAD_STATE


# --- guest faults are neither -----------------------------------------------------------------------------------


async def test_misaligned_and_wide_accesses_are_the_guests_affair(serving: Serving) -> None:
    """Variant correct ignores them (and counts them); with `strict_abort` the guest aborts. Both were applied."""
    for strict, status in ((False, Status.OK), (True, Status.ABORT)):
        async with serving(domain={"strict_abort": strict}) as served:
            peer = await served.connect(Role.CONTROL)
            before = await peer.state()
            for address, size in ((TYPER + 1, 4), (TYPER + 2, 2), (TYPER, 2), (TYPER, 8)):
                reply = await peer.access(Opcode.READ, address, size=size)
                assert (reply.status, reply.body) == (status, bytes(8))
            for address, size in ((ISENABLER1 + 1, 4), (ISENABLER1 + 2, 2), (ISENABLER1, 1), (ISENABLER1, 8)):
                reply = await peer.access(Opcode.WRITE, address, 0xFF, size=size)
                assert (reply.status, reply.body) == (status, bytes(8))
            assert await peer.state() == before
            faults = await peer.expect(Opcode.STATS)
            assert sum(count for name, count in faults["value"].items() if name.startswith("fault.")) == 8


async def test_an_unmapped_address_is_the_guests_affair(serving: Serving) -> None:
    """An empty bus reads as ones."""
    for trap, status, value in ((False, Status.OK, 0xFFFF_FFFF), (True, Status.ABORT, 0)):
        async with serving(domain={"trap_unmapped": trap}) as served:
            peer = await served.connect(Role.CONTROL)
            before = await peer.state()
            reply = await peer.access(Opcode.READ, 0x4000_0000, space=Space.PHYSICAL)
            assert (reply.status, reply.body) == (status, value.to_bytes(8, "little"))
            reply = await peer.access(Opcode.WRITE, 0x4000_0000, 1, space=Space.PHYSICAL)
            assert (reply.status, reply.body) == (status, bytes(8))
            assert await peer.state() == before


# --- images and configurations ----------------------------------------------------------------------------------


@pytest.mark.parametrize("at", [0, 4, 12, 16, 40, -1])
async def test_a_damaged_image_is_refused(serving: Serving, at: int) -> None:
    async with watched(serving) as (_, peer):
        image = bytearray(await peer.state())
        image[at] ^= 0x40
        reply = await peer.ask_raw(Opcode.RESTORE, bytes(4) + bytes(image))
        assert peer.refusal(reply)[0] == Status.BAD_IMAGE


async def test_an_image_of_another_geometry_is_refused(serving: Serving) -> None:
    async with watched(serving) as (_, peer):
        body = await peer.state()
        image = messages.parse_reply(Opcode.SNAPSHOT, body)["image"]
        other = type(image)(type(image.geometry)(4, 64, 4, "correct", "virt"), image.words)
        code, field = await peer.refused(Opcode.RESTORE, image=other)
        assert (code, field) == (Status.BAD_IMAGE, "image")


async def test_an_image_with_unknown_or_missing_words_is_refused(serving: Serving) -> None:
    async with watched(serving) as (_, peer):
        image = messages.parse_reply(Opcode.SNAPSHOT, await peer.state())["image"]
        for words in ({**image.words, "nonsense": (1,)}, dict(list(image.words.items())[1:])):
            code, _ = await peer.refused(Opcode.RESTORE, image=type(image)(image.geometry, words))
            assert code == Status.BAD_IMAGE


async def test_an_upload_longer_than_the_limit_is_refused_at_its_end(serving: Serving) -> None:
    async with serving(limits={"upload": 131_072}) as served:
        peer = await served.connect(Role.CONTROL)
        for _ in range(3):
            await peer.send(head(65_536, Opcode.RESTORE, flags=MORE) + bytes(65_524))
        await peer.send(head(12, Opcode.RESTORE))
        assert peer.refusal(await peer.receive())[0] == Status.TOO_MANY
        await peer.expect(Opcode.PING)


@pytest.mark.parametrize("settings", [{"variant": "zen"}, {"profile": "none"}, {"lrs": 65}, {"xen_without": ("D99",)}])
async def test_a_bad_configuration_is_refused_and_the_domain_stays(
    serving: Serving, settings: dict[str, object]
) -> None:
    async with watched(serving) as (_, peer):
        assert (await peer.refused(Opcode.RESET, config=settings))[0] == Status.BAD_CONFIG


async def test_a_creation_that_xen_refuses_answers_its_errno_and_the_domain_stays(serving: Serving) -> None:
    async with watched(serving) as (_, peer):
        assert (await peer.expect(Opcode.RESET, config={"spis": 961}))["value"] == -22


# --- vectors ----------------------------------------------------------------------------------------------------


def entry(operation: int, offset: int, value: int = 0, vcpu: int = 0, space: int = Space.GICD) -> bytes:
    return vector.ENTRY_CODEC.pack(value, offset, vcpu, operation, space)


GOOD = entry(0x41, CTLR, 0)


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        (entry(0x43, CTLR), Status.BAD_SIZE),
        (entry(0x30, CTLR), Status.BAD_SIZE),
        (entry(0x40, CTLR, 1), Status.RESERVED_BITS),
        (entry(0x41, CTLR, 1, space=5), Status.BAD_VALUE),
        (entry(0x02, 36, 2, 0xFFFF, 0), Status.BAD_VALUE),
        (entry(0x02, 36, 1, 0xFFFF, 2), Status.BAD_VALUE),
        (entry(0x41, CTLR, 1, vcpu=2), Status.BAD_VCPU),
        (entry(0x41, 0x1000, 1), Status.BAD_ADDRESS),
        (entry(0x02, 36 + 64, 1, 0xFFFF, 0), Status.BAD_INTID),
        (entry(0x41, CTLR, 1, space=0x10 | Space.GICD), Status.READ_ONLY),
    ],
)
async def test_a_vector_is_refused_whole_and_the_entry_is_named(serving: Serving, bad: bytes, code: Status) -> None:
    async with watched(serving) as (_, peer):
        body = (3).to_bytes(4, "little") + GOOD + GOOD + bad
        found, field = peer.refusal(await peer.ask_raw(Opcode.VECTOR, body))
        assert found == code
        assert field.startswith("entries[2]")


@pytest.mark.parametrize("count", [0, 1, 3, 1025, 0xFFFF_FFFF])
async def test_a_vector_with_another_count_is_refused(serving: Serving, count: int) -> None:
    async with watched(serving) as (_, peer):
        reply = await peer.ask_raw(Opcode.VECTOR, count.to_bytes(4, "little") + GOOD + GOOD)
        assert peer.refusal(reply)[0] in (Status.BAD_BODY, Status.TOO_MANY)


async def test_a_vector_has_at_most_1024_entries(serving: Serving) -> None:
    async with watched(serving) as (_, peer):
        reply = await peer.ask_raw(Opcode.VECTOR, (1025).to_bytes(4, "little") + GOOD * 1025)
        assert peer.refusal(reply)[0] == Status.TOO_MANY
