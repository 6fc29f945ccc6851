"""The tables of SPEC.md, generated from the declarations.

    python -m vgicd_protocol.spec_tables --write protocol/SPEC.md

replaces what stands between `<!-- table: NAME -->` and `<!-- end -->`; without `--write` it says whether the file is
fresh (exit status 1 if not).
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable
from dataclasses import fields
from pathlib import Path
from typing import Any, Final

from construct import (
    Array,
    Construct,
    FormatField,
    Mapping,
    Prefixed,
    Rebuild,
    Renamed,
    SizeofError,
    Struct,
    Subconstruct,
)

from vgicd_protocol import bodies, effects, events, frames, image, messages, session, settings, vector
from vgicd_protocol.errors import SENTENCES
from vgicd_protocol.spec_examples import examples
from vgicd_protocol.strict import (
    AtMost,
    Blob,
    Characters,
    Fixed,
    NoneOr,
    OneOf,
    Require,
    Words,
    ZeroPad,
)

_TYPES: Final = {"B": "u8", "H": "u16", "L": "u32", "Q": "u64", "b": "i8", "h": "i16", "l": "i32", "q": "i64"}
_BLOCK: Final = re.compile(r"(<!-- table: ([\w.]+) -->\n).*?(<!-- end -->)", re.DOTALL)

Row = tuple[str, ...]


def type_of(declaration: Any) -> str:
    """How a field lies on the wire, in the words of SPEC.md."""
    match declaration:
        case FormatField():
            return _TYPES[declaration.fmtstr[1]]
        case Characters() if isinstance(declaration.subcon, Blob):
            return f"string (at most {declaration.subcon.limit} bytes{_encoding(declaration)})"
        case Blob():
            return f"bytes (at most {declaration.limit})"
        case Words():
            return f"{_TYPES[{'I': 'L', 'Q': 'Q'}[declaration.width]]}[count]"
        case ZeroPad():
            return f"zero to {declaration.modulus}"
        case Mapping() if set(declaration.encmapping) == {False, True}:
            return "flag"
        case Prefixed():
            return f"{type_of(declaration.lengthfield)} length, value"
        case image.Image():
            return "state image"
        case Array():
            return "record[count]"
        case Struct():
            return "record"
        case Subconstruct():
            return type_of(declaration.subcon)
    raise TypeError(f"no words for {declaration!r}")


def _encoding(declaration: Characters) -> str:
    return " of UTF-8" if declaration.encoding == "utf-8" else ""


def rule_of(declaration: Any) -> str:
    """What a field may hold, where neither its type nor its description says so."""
    while isinstance(declaration, Renamed | Rebuild):
        documented = bool(declaration.docs)
        declaration = declaration.subcon
        if documented and not isinstance(_leaf(declaration), AtMost):
            return ""
    match declaration:
        case Fixed():
            return str(declaration.value)
        case OneOf():
            return " or ".join(str(int(value)) for value in declaration.values)
        case AtMost():
            return f"at most {declaration.highest}"
        case NoneOr():
            return f"{declaration.absent:#x} for none"
    return ""


def _leaf(declaration: Any) -> Any:
    while isinstance(declaration, Renamed | Rebuild):
        declaration = declaration.subcon
    return declaration


def _named(subcons: Iterable[Any]) -> Iterable[Any]:
    return (subcon for subcon in subcons if subcon.name)


def layout(declaration: Construct, start: int = 0) -> list[Row]:
    """Offset, field, type and meaning of each field of a Struct that begins at byte `start` of the frame.

    The fields of a record follow it, behind an arrow; those of a repeated one count from its own start.
    """
    rows: list[Row] = []
    offset: int | None = start
    for subcon in _named(declaration.subcons):
        name = re.sub(r"^reserved(_\w+)?$", "(zero)", subcon.name)
        at = "" if offset is None else str(offset)
        rows.append((at, f"`{name}`", type_of(subcon), "; ".join(filter(None, (subcon.docs, rule_of(subcon))))))
        record = _record(subcon)
        if record is not None:
            repeated = type_of(subcon).endswith("[count]")
            within = layout(record, 0 if repeated or offset is None else offset)
            rows += [(f"+{at}" if at and repeated else at, f"→ {field}", *rest) for at, field, *rest in within]
        size = _size_of(subcon)
        offset = None if offset is None or size is None else offset + size
    return rows


def _record(subcon: Any) -> Any:
    """The Struct behind names, adapters and arrays of a field, if it is declared in place."""
    while isinstance(subcon, Subconstruct) and not isinstance(subcon, image.Image):
        subcon = subcon.subcon
    return subcon if isinstance(subcon, Struct) else None


def _size_of(subcon: Any) -> int | None:
    try:
        size: int = subcon.sizeof()
    except SizeofError:
        return None
    return size


def _requirements(declaration: Construct) -> list[str]:
    return [f"`{rule.field}` must be {rule.must}." for rule in declaration.subcons if isinstance(rule, Require)]


def table(headings: Row, rows: Iterable[Row]) -> str:
    """A Markdown table."""
    lines = [headings, tuple("---" for _ in headings), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


_LAYOUT: Final = ("byte", "field", "type", "meaning")


def _layout_table(declaration: Construct, start: int = 0) -> str:
    rows = layout(declaration, start)
    return (table(_LAYOUT, rows) if rows else "Empty.\n") + "".join(
        f"\n{rule}\n" for rule in _requirements(declaration)
    )


def _opcodes() -> str:
    def row(message: messages.Message) -> Row:
        flags = ", ".join(filter(None, ("EFFECTS" * message.effects, "MORE" * message.upload))) or "-"
        role = (
            "by plane" if message.opcode in bodies.HOT_FRAMES and message.name != "LINE" else message.role.name.lower()
        )
        role = "of its entries" if message.name == "VECTOR" else role
        return f"0x{message.opcode:02X}", message.name, role, flags, message.about

    rows = [row(message) for message in messages.MESSAGES.values()]
    rows += [
        ("0x63", "JOURNAL", "-", "-", "reserved; answered UNSUPPORTED"),
        ("0xFE", "EVENT", "-", "-", "server to client only: events of a subscription"),
        ("0xFF", "ERROR", "-", "-", "server to client only: a framing fault; the connection is then closed"),
    ]
    return table(("opcode", "name", "least role", "flags", "what it does"), sorted(rows))


def _bodies() -> str:
    parts = []
    for message in messages.MESSAGES.values():
        if message.opcode in bodies.HOT_FRAMES or message.name in ("HELLO", "VECTOR"):
            continue
        parts.append(f"### {message.name} (0x{message.opcode:02X})\n\n{_sentence(message.about)}\n\n")
        for title, start, declaration in (("Request", 12, message.request), ("Reply", 24, message.reply)):
            parts.append(f"{title}:" + (" empty.\n\n" if not layout(declaration) else "\n\n"))
            if layout(declaration):
                parts.append(_layout_table(declaration, start) + "\n")
    return "".join(parts)


def _sentence(about: str) -> str:
    return about[0].upper() + about[1:] + ("" if about.endswith("?") else ".")


def _enum(kind: Any) -> str:
    return table(
        ("value", "name"), [(f"{int(item):#x}" if int(item) > 9 else str(int(item)), item.name) for item in kind]
    )


def _limits() -> str:
    rows = [(f"`{item.name}`", f"{item.default:,}", item.metadata["about"]) for item in fields(session.Limits)]
    return table(("limit", "unless configured otherwise", "of what"), rows)


TABLES: Final[dict[str, Callable[[], str]]] = {
    "head": lambda: _layout_table(frames.HEAD),
    "reply_head": lambda: _layout_table(frames.REPLY_HEAD),
    "hot": lambda: _layout_table(frames.HOT),
    "hot_reply": lambda: _layout_table(frames.HOT_REPLY),
    "opcodes": _opcodes,
    "bodies": _bodies,
    "hello": lambda: _layout_table(session.HELLO, 12),
    "welcome": lambda: _layout_table(session.WELCOME, 24),
    "limits": _limits,
    "features": lambda: _enum(session.Feature),
    "vector.request": lambda: _layout_table(vector.REQUEST, 12),
    "vector.reply": lambda: _layout_table(vector.REPLY, 24),
    "effects": lambda: _layout_table(effects.RECORD),
    "effect_kinds": lambda: table(
        ("kind", "name", "meaning"), [(str(int(k)), k.name, effects.ABOUT[k]) for k in effects.EffectKind]
    ),
    "events": lambda: _layout_table(bodies.EVENT_BODY, 24),
    "event_kinds": lambda: table(
        ("kind", "name", "meaning"), [(str(int(k)), k.name, events.ABOUT[k]) for k in events.EventKind]
    ),
    "error": lambda: _layout_table(bodies.ERROR_BODY, 24),
    "statuses": lambda: table(
        ("status", "name", "meaning"), [(f"0x{int(s):02X}", s.name, t) for s, t in SENTENCES.items()]
    ),
    "examples": examples,
    "settings": lambda: table(
        ("key", "name", "type"), [(str(key), name, kind) for name, (key, kind, _) in settings.KEYS.items()]
    ),
    "setting": lambda: _layout_table(settings.SETTING),
    "image.envelope": lambda: _layout_table(image.ENVELOPE),
    "image.payload": lambda: _layout_table(image.PAYLOAD),
}


def refresh(text: str) -> str:
    """`text` with every table generated anew; raises `KeyError` for a table that does not exist."""
    return _BLOCK.sub(lambda block: f"{block[1]}\n{TABLES[block[2]]().rstrip()}\n\n{block[3]}", text)


def main(arguments: list[str]) -> int:
    """The command line: `[--write] FILE`."""
    write = "--write" in arguments
    (name,) = (argument for argument in arguments if argument != "--write")
    path = Path(name)
    old = path.read_text()
    new = refresh(old)
    if write:
        path.write_text(new)
        return 0
    return int(old != new)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
