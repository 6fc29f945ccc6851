"""The EFFECTS trailer: what an operation asked of the world outside the vGIC, in call order.

A request with the EFFECTS flag is answered with its ordinary body, padded to a multiple of 8 bytes, and the trailer:
a count and that many records of 8 bytes.  A refused request has no trailer.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import Any, Final, NamedTuple

from construct import Int8ul, Int16ul, Int32ul, Struct, this

from vgicd_protocol.codec import Codec, Data
from vgicd_protocol.frames import REPLY_HEAD_SIZE
from vgicd_protocol.strict import Items, OneOf, Reserved, ZeroPad, count_of


class EffectKind(IntEnum):
    """Append-only."""

    KICK = 1
    ENABLE = 2
    DISABLE = 3
    AFFINITY = 4
    TYPE = 5
    ACTIVE = 6
    PENDING = 7
    SAMPLE = 8
    DEACTIVATE = 9


ABOUT: Final[dict[EffectKind, str]] = {
    EffectKind.KICK: "vCPU `a` was asked to leave the guest",
    EffectKind.ENABLE: "physical interrupt `b` was enabled",
    EffectKind.DISABLE: "physical interrupt `b` was disabled",
    EffectKind.AFFINITY: "physical interrupt `b` was routed to physical CPU `c`",
    EffectKind.TYPE: "the trigger of physical interrupt `b` was programmed: `a` = 0 edge, 1 level",
    EffectKind.ACTIVE: "the active state of physical interrupt `b` was forced to `a`",
    EffectKind.PENDING: "the pending state of physical interrupt `b` was forced to `a`",
    EffectKind.SAMPLE: "the pending state of physical interrupt `b` was read: `a`",
    EffectKind.DEACTIVATE: "physical interrupt `b` was deactivated through the HW bit of a list register",
}

EFFECT_LIMIT: Final = 65_536

RECORD: Final = Struct(
    "kind" / OneOf(Int8ul, EffectKind, "a known kind") * "see the kinds of effect",
    "a" / Int8ul * "KICK: vCPU; TYPE: 0 edge, 1 level; ACTIVE, PENDING, SAMPLE: the value",
    "b" / Int16ul * "physical INTID; KICK: 0",
    "c" / Int32ul * "AFFINITY: physical CPU",
)
RECORD_CODEC: Final = Codec(RECORD)

TRAILER: Final = (
    "reserved_pad" / ZeroPad(8, REPLY_HEAD_SIZE) * "zero, to a multiple of 8",
    "count" / count_of("effects", EFFECT_LIMIT) * "of effects",
    "reserved_trailer" / Reserved(Int32ul),
    "effects" / Items(this.count, RECORD),
)
_COUNTS: Final = Codec(Struct("count" / Int32ul, "zero" / Int32ul))


Record = tuple[int, int, int, int]  # kind, a, b, c


class Effect(NamedTuple):
    """One record, fields as on the wire."""

    kind: int
    a: int = 0
    b: int = 0
    c: int = 0


def append_trailer(body: bytes, effects: Sequence[Record]) -> bytes:
    """`body` (what follows the 24-byte reply head), padded, with the trailer of `effects` behind it."""
    pack = RECORD_CODEC.pack
    parts = [body, bytes(-len(body) % 8), _COUNTS.pack(len(effects), 0)]
    parts += [pack(*effect) for effect in effects]
    return b"".join(parts)


def unpack_trailer(trailer: Data) -> tuple[Effect, ...]:
    """The effects of a trailer that begins at its count, unchecked but for its length (`struct.error`)."""
    count, _ = _COUNTS.unpack_from(trailer)
    end = _COUNTS.size + count * RECORD_CODEC.size
    return tuple(Effect(*fields) for fields in RECORD_CODEC.iter_unpack(trailer[_COUNTS.size : end]))


def plain_effects(records: Sequence[Any]) -> tuple[Effect, ...]:
    """Effects from parsed records."""
    return tuple(Effect(r["kind"], r["a"], r["b"], r["c"]) for r in records)
