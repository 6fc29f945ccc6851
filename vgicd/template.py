"""The configuration file with everything in it: each section, key, default, range and meaning.

Derived from the declarations that also check a file, so that it is itself a file that they accept and that changes
nothing.
"""

from __future__ import annotations

import json
import textwrap
from typing import Any, Final

from vgicd import config
from vgicd.options import Declared

_WIDTH: Final = 100


def text() -> str:
    """The file, in TOML. A key whose default depends on others is commented out."""
    lines = ["# Every option of vgicd, with its default.", "", *_described(config.NAME)]
    for section, rows in config.SECTIONS.items():
        lines += ["", f"[{section}]"]
        for row in rows:
            lines += _described(row)
    return "\n".join(lines) + "\n"


def _described(row: Declared) -> list[str]:
    about = "; ".join(filter(None, (row.option.help, _permitted(row))))
    setting = f"# {row.key} =" if row.default is None else f"{row.key} = {_toml(row, row.default)}"
    return [*textwrap.wrap(about, _WIDTH, initial_indent="# ", subsequent_indent="# "), setting]


def _permitted(row: Declared) -> str:
    """What the key takes, where its name and default do not show it."""
    low, high, choices = row.option.low, row.option.high, row.option.choices
    if choices:
        return " | ".join(map(json.dumps, choices))
    span = "" if low is None or high is None else f"{_toml(row, low)} to {_toml(row, high)}"
    kind, many = config.base_kind(row.kind)
    if row.default is None:
        kinds = "true or false" if kind is bool else span
        return f"{kinds}; by default as the variant, profile and layout have it"
    return f"a list of {row.option.metavar or kind.__name__}" if many else span


def _toml(row: Declared, value: Any) -> str:
    """`value` as TOML."""
    if isinstance(value, tuple):
        return f"[{', '.join(_toml(row, item) for item in value)}]"
    if row.option.base != 10:
        return {8: oct, 16: hex}[row.option.base](value)
    return json.dumps(value)  # numbers, booleans and plain strings are the same in both
