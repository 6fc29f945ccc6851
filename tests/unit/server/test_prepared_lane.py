"""What is served by its bytes is answered as if it had never been seen before, whoever did what in between.

Two equal daemons, of which one prepares nothing, have the same conversations with three peers of different roles.
After every message all that each peer was sent, and the whole state, must be equal.
"""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from vgicd import config
from vgicd.domain import operations as op
from vgicd.domain.domain import Domain
from vgicd.server.access import Peer
from vgicd.server.events import Hub
from vgicd.server.limits import LineBudget
from vgicd.server.requests import geometry
from vgicd.server.session import Session, Shared
from vgicd_protocol import framing, messages, vector
from vgicd_protocol.frames import HEAD_CODEC, HOT_CODEC, MORE, NO_VCPU, Opcode, Role
from vgicd_protocol.image import StateImage

ROLES = (Role.OBSERVE, Role.GUEST, Role.CONTROL)
GICD, GICC, GICD_DEBUG, GICD_RESTORE = 0x01, 0x02, 0x11, 0x21
PLACES = (
    *(
        (GICD, offset)
        for offset in (0x000, 0x004, 0x104, 0x184, 0x204, 0x284, 0x304, 0x384, 0x420, 0x820, 0xC08, 0xF00)
    ),
    *((GICC, offset) for offset in (0x00, 0x04, 0x0C, 0x0C, 0x0C, 0x10, 0x10, 0x14, 0x18, 0x1000)),
    *((0, address) for address in (0x0800_0104, 0x0801_000C, 0x0801_0010, 0x0900_0000)),
    *((space, 0x104) for space in (GICD_DEBUG, GICD_RESTORE)),
)
INTIDS = (27, 32, 33, 34)
BRING_UP = ((GICD, 0x000, 1), (GICD, 0x100, 0xFFFF_FFFF), (GICD, 0x104, 0xFF), (GICC, 0x00, 1), (GICC, 0x04, 0xFF))


class World:
    """A daemon's domain and its conversations with one peer of each role."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch | None) -> None:
        settings = config.parse({"domain": {"vcpus": 2, "spis": 32, "lrs": 2}}, "test")
        self.domain = Domain(settings.domain)
        if monkeypatch is not None:
            monkeypatch.setattr(self.domain, "prepare", lambda *_: None)
        shared = Shared(self.domain, Hub(self.domain), settings, LineBudget(0, lambda: 0.0))
        self.peers = [Session(shared, Peer(key="test")) for _ in ROLES]
        for peer, role in zip(self.peers, ROLES, strict=True):
            peer.grant(role)

    def hear(self, who: int, data: bytes) -> list[bytes]:
        """What each peer is sent when one says `data`."""
        for peer in self.peers:
            peer.out.clear()
        assert self.peers[who].serve(bytearray(data), 0, len(data), float("inf")) == len(data)
        self.peers[who].publish()
        return [bytes(peer.out) for peer in self.peers]

    def state(self) -> dict[str, tuple[int, ...]]:
        words: dict[str, tuple[int, ...]] = self.domain.apply(op.Snapshot()).value
        return words


def hot(chance: random.Random) -> bytes:
    """A plausible access or line change, now and then a wrong one."""
    vcpu, wrong = chance.randrange(2), chance.random() < 0.05
    if chance.random() < 0.35:
        intid = chance.choice(INTIDS)
        owner, level = vcpu if intid < 32 else NO_VCPU, 2 if wrong else chance.randrange(2)
        return framing.hot_request(Opcode.LINE, 1, owner, 0, chance.randrange(2), intid, level, 0)
    space, address = chance.choice(PLACES)
    opcode = chance.choice((Opcode.READ, Opcode.WRITE))
    value = chance.choice((0, 1, 2, 3, 0xFF, 32, 33, 0x0201_0000, 0x0101_0101, 0xFFFF_FFFF, 1 << 32))
    return framing.hot_request(
        opcode, 1, vcpu + 2 * wrong, 4, space, address, value if opcode == Opcode.WRITE else int(wrong), 0
    )


def as_entry(frame: bytes) -> bytes:
    _, _, opcode, _, _, vcpu, size, space, address, value = HOT_CODEC.unpack(frame)
    return vector.ENTRY_CODEC.pack(value, address, vcpu, size << 4 | opcode & 0xF, space)


def others(chance: random.Random, state: Callable[[], StateImage]) -> bytes:
    """Something that may change what a prepared access must answer; an upload is left open for whoever goes on."""

    def request(opcode: Opcode, **fields: object) -> bytes:
        return framing.request(opcode, 7, messages.build_request(opcode, fields))

    match chance.randrange(9):
        case 0:
            return request(Opcode.MODE, explicit=chance.random() < 0.3)
        case 1:
            return request(Opcode.RESET, config=chance.choice((None, {"vcpus": 2, "lrs": 3}, {"vcpus": 9})))
        case 2:
            return request(Opcode.VCPU_POWER, vcpu=1, on=chance.random() < 0.6)
        case 3:
            return request(Opcode.SUBSCRIBE, mask=chance.choice((0, 0, 0, 1, 0xFF)))
        case 4:
            return request(Opcode.HW_CONNECT, virq=32, pirq=70)
        case 5:
            return request(Opcode.HW_DISCONNECT, virq=32, pirq=None)
        case 6:
            return request(Opcode.PHYS_LINE, pirq=70, level=chance.randrange(2))
        case 7:
            return request(Opcode.ENTER, vcpu=chance.randrange(2))
        case _:
            body = messages.build_request(Opcode.RESTORE, {"image": state()})
            cut = chance.randrange(len(body))
            parts = ((MORE, body[:cut]), (0, body[cut:]))
            return b"".join(HEAD_CODEC.pack(12 + len(p), 1, Opcode.RESTORE, f, 7) + p for f, p in parts)


@pytest.mark.parametrize("seed", range(8))
def test_a_prepared_access_is_answered_as_a_new_one(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    chance = random.Random(seed)
    prepared, plain = World(None), World(monkeypatch)
    known: list[bytes] = []
    lengths = []
    for vcpu in range(2):
        for space, address, value in BRING_UP:
            data = framing.hot_request(Opcode.WRITE, 1, vcpu, 4, space, address, value, 0)
            assert prepared.hear(1, data) == plain.hear(1, data)
    for step in range(600):
        frames = []
        for _ in range(chance.randrange(1, 6)):
            if not known or chance.random() < 0.3:
                known.append(hot(chance))
            frames.append(chance.choice(known[-25:]))
        data = b"".join(frames)
        choice = chance.random()
        if choice < 0.3:
            body = len(frames).to_bytes(4, "little") + b"".join(map(as_entry, frames))
            data = framing.request(Opcode.VECTOR, 5, body)
        elif choice < 0.34:
            data = others(chance, lambda: StateImage(geometry(prepared.domain), prepared.state()))
        who = chance.choice((0, 1, 1, 2, 2))
        assert prepared.hear(who, data) == plain.hear(who, data), (step, data.hex())
        assert prepared.state() == plain.state(), (step, data.hex())
        lengths.append(len(prepared.domain.prepared))
    assert not plain.domain.prepared
    assert sum(length > 5 for length in lengths) > 50, "the lane was used"


def test_an_upload_shuts_the_lane() -> None:
    """A hot frame inside an upload is a framing fault, however often it was served before."""
    world = World(None)
    frame = framing.hot_request(Opcode.READ, 1, 0, 4, GICD, 4, 0, 0)
    for _ in range(3):
        world.hear(2, frame)
    order = world.domain.order
    opening = HEAD_CODEC.pack(20, 1, Opcode.RESTORE, MORE, 7) + bytes(8)
    *_, sent = world.hear(2, opening + frame)
    assert sent[5] == framing.ERROR_OPCODE
    assert world.domain.order == order


def test_the_lane_is_not_for_onlookers() -> None:
    world = World(None)
    frame = framing.hot_request(Opcode.READ, 1, 0, 4, GICD, 4, 0, 0)
    world.hear(1, frame)
    assert world.domain.prepared
    order = world.domain.order
    onlooker, *_ = world.hear(0, frame)
    assert HOT_CODEC.unpack(onlooker)[3] == 0x41  # DENIED
    assert world.domain.order == order
