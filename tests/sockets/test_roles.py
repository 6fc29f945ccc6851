"""What each role may do, and what it may not: the answer is DENIED, and nothing happens."""

from __future__ import annotations

import pytest

from vgicd_protocol import messages, vector
from vgicd_protocol.errors import Status
from vgicd_protocol.frames import EFFECTS, MORE, Opcode, Plane, Role, Space

from .conftest import Serving

GICD_DEBUG = Plane.DEBUG << 4 | Space.GICD
GICD_RESTORE = Plane.RESTORE << 4 | Space.GICD

FIELDS: dict[int, dict[str, object]] = {
    Opcode.PING: {},
    Opcode.LR_GET: {"vcpu": 0},
    Opcode.IRQ_INFO: {"intid": 40, "vcpu": 0xFFFF},
    Opcode.DUMP: {"kind": 0},
    Opcode.STATS: {},
    Opcode.PENDING_CHECK: {"vcpu": 0, "kind": 0},
    Opcode.SUBSCRIBE: {"mask": 0},
    Opcode.SNAPSHOT: {},
    Opcode.ENTER: {"vcpu": 0},
    Opcode.EXIT: {"vcpu": 0},
    Opcode.WAIT: {"outputs": 1, "milliseconds": 0},
    Opcode.TIME: {"now": 1},
    Opcode.PHYS_LINE: {"pirq": 40, "level": 0},
    Opcode.EVENT_CHANNEL: {"vcpu": 0, "flag": False},
    Opcode.CONSOLE: {"data": b""},
    Opcode.MODE: {"explicit": False},
    Opcode.LR_SET: {"vcpu": 0, "index": 0, "value": 0},
    Opcode.GICH: {"vcpu": 0, "offset": 0, "value": 0},
    Opcode.VIRQ_ALLOC: {"spi": True},
    Opcode.VIRQ_RESERVE: {"virq": 33},
    Opcode.VIRQ_FREE: {"virq": 33},
    Opcode.HW_CONNECT: {"virq": 40, "pirq": 40},
    Opcode.HW_DISCONNECT: {"virq": 40, "pirq": 40},
    Opcode.HW_DESC: {"virq": 40},
    Opcode.HW_IRQ: {"pirq": 40, "virq": 40},
    Opcode.VCPU_MOVE: {"vcpu": 0, "pcpu": 1},
    Opcode.VCPU_POWER: {"vcpu": 0, "on": True},
    Opcode.SET_IRQ_LEVEL: {"intid": 40, "level": 0, "padding": 0},
    Opcode.RESET: {"config": None},
}
OBSERVE = {
    Opcode.LR_GET,
    Opcode.IRQ_INFO,
    Opcode.DUMP,
    Opcode.STATS,
    Opcode.PENDING_CHECK,
    Opcode.SUBSCRIBE,
    Opcode.SNAPSHOT,
}
GUEST = OBSERVE | {
    Opcode.ENTER,
    Opcode.EXIT,
    Opcode.WAIT,
    Opcode.TIME,
    Opcode.PHYS_LINE,
    Opcode.EVENT_CHANNEL,
    Opcode.CONSOLE,
}
MAY = {Role.OBSERVE: OBSERVE | {Opcode.PING}, Role.GUEST: GUEST | {Opcode.PING}, Role.CONTROL: set(FIELDS)}
SPECIAL = {Opcode.HELLO, Opcode.BYE, Opcode.READ, Opcode.WRITE, Opcode.LINE, Opcode.VECTOR, Opcode.RESTORE}


def test_every_request_has_its_row() -> None:
    assert set(FIELDS) | SPECIAL == set(messages.MESSAGES)


@pytest.mark.parametrize("role", [Role.OBSERVE, Role.GUEST, Role.CONTROL])
@pytest.mark.parametrize("profile", ["virt", "xen-guest", "trace"])
async def test_a_role_may_do_what_is_written_and_nothing_else(serving: Serving, role: Role, profile: str) -> None:
    async with serving(domain={"profile": profile}) as served:
        witness, peer = await served.connect(Role.CONTROL), await served.connect(role)
        for opcode, fields in FIELDS.items():
            before = await witness.state()
            reply = await peer.ask(opcode, **fields)
            assert (reply.status != Status.DENIED) is (opcode in MAY[role]), Opcode(opcode).name
            assert reply.status != Status.INTERNAL, Opcode(opcode).name
            if reply.status == Status.OK:
                messages.parse_reply(opcode, reply.body)
            if reply.status == Status.DENIED:
                assert await witness.state() == before


@pytest.mark.parametrize(
    ("opcode", "space", "needed"),
    [
        (Opcode.READ, GICD_DEBUG, Role.OBSERVE),
        (Opcode.READ, Plane.DEBUG << 4 | Space.GICH, Role.OBSERVE),
        (Opcode.READ, Space.GICD, Role.GUEST),
        (Opcode.READ, GICD_RESTORE, Role.CONTROL),
        (Opcode.WRITE, Space.GICD, Role.GUEST),
        (Opcode.WRITE, GICD_RESTORE, Role.CONTROL),
        (Opcode.LINE, 0, Role.GUEST),
        (Opcode.LINE, 1, Role.GUEST),
    ],
)
@pytest.mark.parametrize("flags", [0, EFFECTS])
@pytest.mark.parametrize("role", [Role.OBSERVE, Role.GUEST, Role.CONTROL])
async def test_accesses_need_the_role_of_their_plane(
    serving: Serving, opcode: int, space: int, needed: Role, flags: int, role: Role
) -> None:
    """The fast path (no flags) and the slow one agree, alone and as an entry of a vector."""
    line = opcode == Opcode.LINE
    async with serving() as served:
        peer = await served.connect(role)
        before = await peer.state()
        where = {"vcpu": 0xFFFF if line else 0, "size": 0 if line else 4, "space": space}
        address = 40 if line else 0x104
        reply = await peer.access(opcode, address, flags=flags, **where)
        assert (reply.status == Status.DENIED) is (role < needed)
        entry = vector.ENTRY_CODEC.pack(0, address, where["vcpu"], where["size"] << 4 | opcode & 0xF, space)
        debug_read = vector.ENTRY_CODEC.pack(0, 4, 0, 0x40, GICD_DEBUG)
        reply = await peer.ask_raw(Opcode.VECTOR, (2).to_bytes(4, "little") + debug_read + entry)
        if role < needed:
            assert peer.refusal(reply) == (Status.DENIED, "entries[1]")
            assert await peer.state() == before
        else:
            assert reply.status != Status.DENIED


async def test_an_upload_needs_its_own_role_and_is_refused_at_its_end(serving: Serving) -> None:
    async with serving() as served:
        peer, witness = await served.connect(Role.GUEST), await served.connect(Role.CONTROL)
        before = await witness.state()
        body = messages.build_request(Opcode.RESTORE, {"image": messages.parse_reply(Opcode.SNAPSHOT, before)["image"]})
        await witness.write(0x104, 0xFF)
        changed = await witness.state()
        await peer.send(_frame(body[:100], MORE))
        await peer.send(_frame(body[100:], 0))
        assert peer.refusal(await peer.receive()) == (Status.DENIED, "")
        await peer.expect(Opcode.PING)
        assert await witness.state() == changed


def _frame(body: bytes, flags: int) -> bytes:
    from vgicd_protocol.frames import HEAD_CODEC

    return HEAD_CODEC.pack(12 + len(body), 1, Opcode.RESTORE, flags, 9) + body


async def test_hello_grants_at_most_what_the_access_rules_say(
    serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vgicd.server.access import Rules

    monkeypatch.setattr(Rules, "highest_role", lambda *_: Role.GUEST)
    async with serving() as served:
        peer = await served.connect(None)
        hello = {"role": Role.CONTROL, "features": 0, "client": "", "lowest": 1, "highest": 1}
        assert await peer.refused(Opcode.HELLO, **hello) == (Status.DENIED, "role")
        assert (await peer.hello(Role.ANY)).role == Role.GUEST
        assert (await peer.refused(Opcode.RESET, config=None))[0] == Status.DENIED
        assert (await (await served.connect(None)).hello(Role.OBSERVE)).role == Role.OBSERVE


async def test_a_stranger_is_refused_before_saying_anything(serving: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    from vgicd.server.access import Rules

    monkeypatch.setattr(Rules, "highest_role", lambda *_: None)
    async with serving() as served:
        peer = await served.connect(None)
        assert (await peer.fault())[0] == Status.DENIED
