"""The C header of the protocol's numbers and layouts, generated from the declarations.

    python -m vgicd_protocol.c_header --write clients/c/vgicd_protocol.h

writes the file; without `--write` it says whether the file is fresh (exit status 1 if not).  A layout's constants are
the byte offsets of its fields in the frame (of a repeated record: from its own start), as in the tables of SPEC.md, and
`_BYTES` where all of it is fixed, or `_FIXED` for what comes before the first field of a variable length.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Iterator
from enum import Enum
from pathlib import Path
from typing import Any, Final

from construct import Construct, SizeofError, Struct

from vgicd_protocol import bodies, effects, events, frames, image, messages, session, settings, vector
from vgicd_protocol.errors import SENTENCES

PREFIX: Final = "VGICD"
_ABOUT: Final = """\
/*
 * The numbers and layouts of the vgicd protocol, version {version}, for C and C++.
 *
 * Generated from the protocol's declarations by `python -m vgicd_protocol.c_header --write FILE`: do not edit.
 * SPEC.md says what they mean.  All integers on the wire are little-endian.  A layout's constants are byte offsets in
 * the frame, head included; those of a repeated record (entry, result, event, effect) count from its own start.  _BYTES
 * is the size of a layout, _FIXED that of the part before its first field of a variable length.
 */
"""
_GUARD: Final = "VGICD_PROTOCOL_H"

Constant = tuple[str, int]


def header() -> str:
    """The whole file."""
    numbers, layouts = list(_numbers()), list(_layouts())
    names = [name for _, constants in (*numbers, *layouts) for name, _ in constants]
    if len(set(names)) != len(names):
        raise ValueError(f"names are not unique: {sorted(name for name in set(names) if names.count(name) > 1)}")
    parts = [_ABOUT.format(version=frames.VERSION), f"#ifndef {_GUARD}\n#define {_GUARD}\n"]
    parts += [_section(title, constants) for title, constants in numbers]
    parts += [_statuses()]
    parts += [_section(title, constants) for title, constants in layouts]
    return "\n".join(parts) + f"\n#endif /* {_GUARD} */\n"


def _section(title: str, constants: Iterable[Constant]) -> str:
    rows = [(f"{PREFIX}_{name}", value) for name, value in constants]
    width = max(len(name) for name, _ in rows)
    lines = [f"#define {name:<{width}} {_literal(value)}" for name, value in rows]
    return f"/* {title} */\n" + "\n".join(lines) + "\n"


def _literal(value: int) -> str:
    return f"{value}u" if value < 10 else f"0x{value:X}u"


def _numbers() -> Iterator[tuple[str, list[Constant]]]:
    yield (
        "Frames",
        [
            ("PROTOCOL_VERSION", frames.VERSION),
            ("MAGIC", frames.MAGIC),
            ("FRAME_LIMIT", frames.FRAME_LIMIT),
            ("UPLOAD_LIMIT", frames.UPLOAD_LIMIT),
            ("VECTOR_LIMIT", frames.VECTOR_LIMIT),
            ("NAME_LIMIT", session.NAME_LIMIT),
            ("WINDOW_LIMIT", session.WINDOW_LIMIT),
            ("EVENT_LIMIT", bodies.EVENT_LIMIT),
            ("WAIT_MS_LIMIT", bodies.WAIT_MS_LIMIT),
            ("REPLY_BIT", frames.REPLY_BIT),
            ("NO_VCPU", frames.NO_VCPU),
        ],
    )
    yield "Request flags, in `status` of a request", [("FLAG_EFFECTS", frames.EFFECTS), ("FLAG_MORE", frames.MORE)]
    yield "Reply flags, in `flags` of a reply", [("REPLY_MORE", frames.REPLY_MORE)]
    yield "Opcodes of requests; their replies have REPLY_BIT set as well", _members("OP", frames.Opcode)
    yield "Spaces: the low nibble of `space`", _members("SPACE", frames.Space)
    yield "Planes: the high nibble of `space`", _members("PLANE", frames.Plane)
    yield "Roles", _members("ROLE", frames.Role)
    yield "Features of HELLO and WELCOME", _members("FEATURE", session.Feature)
    yield (
        "Kinds of a vector's entry: the low nibble of its `operation`",
        [("ENTRY_READ", vector.READ), ("ENTRY_WRITE", vector.WRITE), ("ENTRY_LINE", vector.LINE)],
    )
    yield (
        "Kinds of event; a SUBSCRIBE mask has bit 1 << kind",
        [
            *_members("EVENT", events.EventKind),
            ("EVENT_GAP", events.GAP),
            ("EVENT_MASK", events.EVENT_MASK),
        ],
    )
    yield "Kinds of effect", _members("EFFECT", effects.EffectKind)
    yield "Keys of RESET's settings", [(f"SETTING_{name.upper()}", key) for name, (key, _, _) in settings.KEYS.items()]


def _members(kind: str, members: type[Enum]) -> list[Constant]:
    return [(f"{kind}_{member.name}", int(member.value)) for member in members]


def _statuses() -> str:
    rows = [f"    X({status.name}, 0x{int(status):02X}, {json.dumps(text)})" for status, text in SENTENCES.items()]
    table = " \\\n".join(["#define VGICD_STATUSES(X)", *rows])
    numbers = _section("Status codes of replies", [(f"STATUS_{status.name}", int(status)) for status in SENTENCES])
    return f"{numbers}\n/* The same with what they mean: X(name, number, sentence) */\n{table}\n"


def _layouts() -> Iterator[tuple[str, list[Constant]]]:
    yield "Head of a frame", _layout("HEAD", frames.HEAD, 0)
    yield "Head of everything that the server sends", _layout("REPLY", frames.REPLY_HEAD, 0)
    yield "READ, WRITE and LINE", _layout("HOT", frames.HOT, 0, skip=frames.HEAD)
    yield "Their replies without EFFECTS", _layout("HOT_REPLY", frames.HOT_REPLY, 0, skip=frames.REPLY_HEAD)
    yield "Entry of a vector", _layout("ENTRY", vector.ENTRY, 0)
    yield "Result of a vector", _layout("RESULT", vector.RESULT, 0)
    yield "Event", _layout("EVENT_RECORD", events.RECORD, 0)
    yield "Effect", _layout("EFFECT_RECORD", effects.RECORD, 0)
    yield "Frames of EVENT", _layout("EVENT_FRAME", bodies.EVENT_BODY, frames.REPLY_HEAD_SIZE)
    yield "Limits, in WELCOME", _layout("LIMITS", session.LIMITS, 0)
    for message in messages.MESSAGES.values():
        if message.opcode in bodies.HOT_FRAMES:
            continue
        welcome = message.opcode == frames.Opcode.HELLO
        if request := _layout(message.name, message.request, frames.HEAD_SIZE):
            yield f"{message.name}, request", request
        reply = "WELCOME" if welcome else f"{message.name}_REPLY"
        if answer := _layout(reply, message.reply, frames.REPLY_HEAD_SIZE):
            yield f"{message.name}, reply", answer


def _layout(name: str, declaration: Construct, start: int, skip: Construct | None = None) -> list[Constant]:
    """Offsets of the named fields as far as they are fixed, and where that ends; those of `skip` have names already."""
    known = {subcon.name for subcon in skip.subcons} if skip is not None else frozenset()
    constants: list[Constant] = []
    offset = start
    for subcon in _flat(declaration):
        if not re.match("reserved", subcon.name) and subcon.name not in known:
            constants.append((f"{name}_{subcon.name.upper()}", offset))
        size = _size_of(subcon)
        if size is None:
            return [*constants, (f"{name}_FIXED", offset)]
        offset += size
    return [*constants, (f"{name}_BYTES", offset)] if constants else []


def _flat(declaration: Construct) -> Iterator[Any]:
    """The named fields in order; a record that is the only one of its body stands for its own fields."""
    named = [subcon for subcon in declaration.subcons if subcon.name]
    if len(named) == 1 and (record := _record(named[0])) is not None:
        yield from _flat(record)
    else:
        yield from named


def _record(subcon: Any) -> Any:
    while not isinstance(subcon, Struct):
        if isinstance(subcon, image.Image) or not hasattr(subcon, "subcon"):
            return None
        subcon = subcon.subcon
    return subcon


def _size_of(subcon: Any) -> int | None:
    try:
        size: int = subcon.sizeof()
    except SizeofError:
        return None
    return size


def main(arguments: list[str]) -> int:
    """The command line: `[--write] FILE`."""
    (name,) = (argument for argument in arguments if argument != "--write")
    path, new = Path(name), header()
    if "--write" in arguments:
        path.write_text(new)
        return 0
    return int(not path.exists() or path.read_text() != new)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
