"""Options: a dataclass field that carries its own help and range.

An option is declared once, as a field.  The configuration file's keys and checks, the command line's flags and their
help texts are all derived from the fields.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import Field, field, fields
from typing import Any, Final, NamedTuple, get_type_hints

_KEY: Final = "option"


class Option(NamedTuple):
    """What is known of an option besides its name, type and default. Ranges are inclusive."""

    help: str
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    metavar: str | None = None
    base: int = 10  # in which people write such a number: 8, 10 or 16
    flag: str = ""  # its flag's name, where that is not the key's
    alone: str | None = None  # what the flag means without a value, if it may stand alone


def option(
    default: Any,
    help: str,  # noqa: A002 (the name that click and argparse give it)
    *,
    low: float | None = None,
    high: float | None = None,
    choices: tuple[str, ...] = (),
    metavar: str | None = None,
    base: int = 10,
    flag: str = "",
    alone: str | None = None,
) -> Any:
    """A dataclass field with `default`, described for file and command line."""
    return field(default=default, metadata={_KEY: Option(help, low, high, choices, metavar, base, flag, alone)})


class Declared(NamedTuple):
    """An option of a section: its key, its type (a `type` or a union with None), default and description."""

    key: str
    kind: Any
    default: Any
    option: Option


def declared(section: type, described: Mapping[str, Option] | None = None) -> tuple[Declared, ...]:
    """The options of dataclass `section`, in order.

    `described` describes fields of a dataclass that may not import this module; a field that is described nowhere
    raises KeyError, so that none can be forgotten.
    """
    hints = get_type_hints(section)

    def describe(f: Field[Any]) -> Option:
        found = f.metadata.get(_KEY)
        return found if found is not None else (described or {})[f.name]

    return tuple(Declared(f.name, hints[f.name], f.default, describe(f)) for f in fields(section))
