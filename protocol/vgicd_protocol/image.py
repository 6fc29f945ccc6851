"""State images: the whole of a domain's state as named words, sealed with a CRC.

SNAPSHOT answers one, RESTORE takes one, files hold one.  An image says which geometry it was taken from; whoever
restores it compares that with the domain's own.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from io import BytesIO
from itertools import pairwise
from typing import Any, Final

from construct import (
    Adapter,
    Construct,
    Int16ul,
    Int32ul,
    Struct,
    Subconstruct,
    Terminated,
    stream_read,
    this,
)

from vgicd_protocol.errors import Status
from vgicd_protocol.frames import UPLOAD_LIMIT
from vgicd_protocol.strict import AtMost, Fixed, Items, Reserved, Violation, Words, ZeroPad, count_of, text

IMAGE_MAGIC: Final = 0x6D496776  # "vgIm"
IMAGE_VERSION: Final = 1
ENTRY_LIMIT: Final = 65_536
WORD_LIMIT: Final = UPLOAD_LIMIT // 8

ENVELOPE: Final = Struct(
    "magic" / Fixed(Int32ul, IMAGE_MAGIC) * '"vgIm"',
    "version" / Fixed(Int16ul, IMAGE_VERSION) * "of the image's layout",
    "reserved" / Reserved(Int16ul),
    "size" / AtMost(Int32ul, UPLOAD_LIMIT) * "bytes that follow the envelope",
    "crc32" / Int32ul * "of those bytes (polynomial 0xEDB88320, as in zlib)",
)
ENTRY: Final = Struct(
    "count" / count_of("words", WORD_LIMIT) * "of words",
    "name" / text(255) * "each greater than the one before, as bytes",
    "reserved_pad" / ZeroPad(8, 0) * "to a multiple of 8 from the end of the envelope",
    "words" / Words(this.count, "Q"),
)
PAYLOAD: Final = Struct(
    "vcpus" / Int16ul,
    "spis" / Int16ul * "rounded up, as in WELCOME",
    "lrs" / Int16ul,
    "reserved" / Reserved(Int16ul),
    "variant" / text(32),
    "profile" / text(32),
    "count" / count_of("entries", ENTRY_LIMIT) * "of entries",
    "reserved_pad" / ZeroPad(8, 0) * "as above",
    "entries" / Items(this.count, ENTRY),
    Terminated,
)


@dataclass(frozen=True, slots=True)
class Geometry:
    """What a domain is made of, as far as two domains must agree to exchange state."""

    vcpus: int
    spis: int  # rounded up to a multiple of 32
    lrs: int
    variant: str
    profile: str


@dataclass(frozen=True, slots=True)
class StateImage:
    """The state of a domain: `words` maps each name to its 64-bit words."""

    geometry: Geometry
    words: dict[str, tuple[int, ...]]


class Sealed(Subconstruct):  # type: ignore[misc]  # construct is untyped
    """`subcon` behind an envelope whose CRC is checked before anything inside is believed."""

    def __init__(self, subcon: Construct) -> None:
        super().__init__(subcon)

    def _parse(self, stream: Any, context: Any, path: str) -> Any:
        envelope = ENVELOPE._parsereport(stream, context, path)
        payload: bytes = stream_read(stream, envelope.size, f"{path} -> size")
        found = zlib.crc32(payload)
        if found != envelope.crc32:
            raise Violation(
                Status.BAD_IMAGE,
                f"says {envelope.crc32:#010x} but the bytes have {found:#010x}: take the image anew",
                f"{path} -> crc32",
            )
        return self.subcon._parsereport(BytesIO(payload), context, path)

    def _build(self, obj: Any, stream: Any, context: Any, path: str) -> Any:
        inside = BytesIO()
        self.subcon._build(obj, inside, context, path)
        payload = inside.getvalue()
        ENVELOPE._build({"size": len(payload), "crc32": zlib.crc32(payload)}, stream, context, path)
        stream.write(payload)
        return obj


class Image(Adapter):  # type: ignore[misc]  # construct is untyped
    """The sealed payload as a `StateImage`, its names ascending."""

    def __init__(self) -> None:
        super().__init__(Sealed(PAYLOAD))

    def _decode(self, obj: Any, _context: Any, path: str) -> StateImage:
        names = [entry.name for entry in obj.entries]
        for before, name in pairwise(names):
            if name <= before:
                raise Violation(Status.BAD_IMAGE, f"has {name!r} after {before!r}: must ascend", f"{path} -> entries")
        geometry = Geometry(obj.vcpus, obj.spis, obj.lrs, obj.variant, obj.profile)
        return StateImage(geometry, {entry.name: entry.words for entry in obj.entries})

    def _encode(self, obj: Any, _context: Any, path: str) -> dict[str, Any]:
        if not isinstance(obj, StateImage):
            raise Violation(Status.BAD_IMAGE, f"must be a StateImage, is {obj!r}", path)
        entries = [{"name": name, "words": words} for name, words in sorted(obj.words.items())]
        geometry = obj.geometry
        return {
            "vcpus": geometry.vcpus,
            "spis": geometry.spis,
            "lrs": geometry.lrs,
            "variant": geometry.variant,
            "profile": geometry.profile,
            "entries": entries,
        }


IMAGE: Final = Image()
