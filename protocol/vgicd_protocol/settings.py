"""A domain's configuration on the wire: numbered keys, each with the one type that its value has.

A key that is left out has its default; the table is append-only.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any, Final

from construct import (
    Adapter,
    Construct,
    Error,
    FocusedSeq,
    GreedyBytes,
    Int16ul,
    Int32ul,
    Int64ul,
    Mapping,
    Prefixed,
    Struct,
    Switch,
    Terminated,
    this,
)

from vgicd_protocol.errors import Status
from vgicd_protocol.frames import HEAD_SIZE
from vgicd_protocol.strict import AtMost, Characters, Reserved, Violation, ZeroPad

VALUE_LIMIT: Final = 1024


class Names(Adapter):  # type: ignore[misc]  # construct is untyped
    """A tuple of names as text with commas between them; the empty tuple is the empty text."""

    def _decode(self, obj: str, _context: Any, path: str) -> tuple[str, ...]:
        names = tuple(obj.split(",")) if obj else ()
        if not all(names):
            raise Violation(Status.BAD_CONFIG, f"has an empty name in {obj!r}", path)
        return names

    def _encode(self, obj: Any, _context: Any, path: str) -> str:
        if isinstance(obj, str) or not all(isinstance(n, str) and n and "," not in n for n in obj):
            raise Violation(Status.BAD_CONFIG, f"must be names without commas, is {obj!r}", path)
        return ",".join(obj)


def _whole(subcon: Construct) -> Construct:
    """`subcon` and nothing behind it."""
    return FocusedSeq("item", "item" / subcon, Terminated)


NUMBER: Final = _whole(Int64ul)
SWITCH: Final = _whole(Mapping(Int64ul, {False: 0, True: 1}))
WORD: Final = Characters(GreedyBytes)
WORDS: Final = Names(Characters(GreedyBytes))

# name -> (key, type name, declaration); the names are the fields of the daemon's domain configuration
KEYS: Final[dict[str, tuple[int, str, Construct]]] = {
    "vcpus": (1, "number", NUMBER),
    "spis": (2, "number", NUMBER),
    "lrs": (3, "number", NUMBER),
    "variant": (4, "text", WORD),
    "profile": (5, "text", WORD),
    "xen_without": (6, "names", WORDS),
    "gic_version": (7, "number", NUMBER),
    "layout": (8, "text", WORD),
    "gicd_base": (9, "number", NUMBER),
    "gicc_base": (10, "number", NUMBER),
    "gicc_size": (11, "number", NUMBER),
    "hardware_domain": (12, "switch", SWITCH),
    "strict_abort": (13, "switch", SWITCH),
    "trap_unmapped": (14, "switch", SWITCH),
    "iidr_revision": (15, "number", NUMBER),
    "eoi_compares_source": (16, "switch", SWITCH),
    "eoi_when_idle": (17, "text", WORD),
    "timer_hz": (18, "number", NUMBER),
    "lazy": (19, "switch", SWITCH),
}

SETTING: Final = Struct(
    "key" / Mapping(Int16ul, {name: key for name, (key, _, _) in KEYS.items()}) * "see the keys",
    "reserved" / Reserved(Int16ul),
    "value"
    / Prefixed(
        AtMost(Int32ul, VALUE_LIMIT),
        Switch(this.key, {name: declaration for name, (_, _, declaration) in KEYS.items()}, default=Error),
    )
    * "u32 length, then the value: number u64, switch u64 0 or 1, text ASCII, names ASCII with commas",
    "reserved_pad" / ZeroPad(8, HEAD_SIZE),
)


def settings_of(items: list[Any], path: str) -> dict[str, Any]:
    """Parsed settings as a dict; refuses keys that do not ascend, which a repeated key does not."""
    keys = [KEYS[item["key"]][0] for item in items]
    if any(after <= before for before, after in pairwise(keys)):
        raise Violation(Status.BAD_CONFIG, "must have ascending keys, each at most once", path)
    return {item["key"]: item["value"] for item in items}


def items_of(settings: dict[str, Any], path: str) -> list[dict[str, Any]]:
    """Settings in the order of their keys; a value of None is left out."""
    unknown = settings.keys() - KEYS.keys()
    if unknown:
        raise Violation(Status.BAD_CONFIG, f"has unknown keys {sorted(unknown)}", path)
    given = [name for name in KEYS if settings.get(name) is not None]
    return [{"key": name, "value": settings[name]} for name in given]
