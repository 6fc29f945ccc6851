"""The register rows as plain data: what a client needs to name and decode a word without the daemon's code.

    python -m vgicd.export.description clients/vgicd_client/registers.json

writes the file that the client package carries; a test fails when it is not fresh.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from vgicd.hw.gich import GICH
from vgicd.hw.gicv import GICC
from vgicd.hw.list_register import HARDWARE, SOFTWARE
from vgicd.registers import Field, Frame, Layout, Register
from vgicd.vgic.distributor import GICD


def description() -> dict[str, Any]:
    """Frames with their rows, and the two layouts of a list register; JSON values only."""
    return {
        "frames": {frame.name: _frame(frame) for frame in (GICD, GICC, GICH)},
        "list_register": {"software": _fields(SOFTWARE), "hardware": _fields(HARDWARE)},
    }


def text() -> str:
    """The file's text."""
    return json.dumps(description(), indent=1) + "\n"


def _frame(frame: Frame) -> dict[str, Any]:
    return {"size": frame.size, "registers": [_register(row) for row in frame.rows]}


def _register(row: Register) -> dict[str, Any]:
    return {
        "name": row.name,
        "offset": row.offset,
        "length": row.length,
        "widths": [size for size in (1, 2, 4, 8) if row.widths & size],
        "bits": row.bits,
        "access": row.access,
        "effect": row.effect,
        "read_effect": row.read_effect,
        "doc": row.doc,
        "fields": _fields(row.fields) if row.fields is not None else [],
    }


def _fields(layout: Layout) -> list[dict[str, Any]]:
    return [_field(field) for field in layout.fields]


def _field(field: Field) -> dict[str, Any]:
    return {
        "name": field.name,
        "lsb": field.lsb,
        "width": field.width,
        "access": field.access,
        "doc": field.doc,
        "values": {str(value): meaning for value, meaning in field.values.items()},
    }


def main() -> None:
    """Write the description to the file named on the command line."""
    Path(sys.argv[1]).write_text(text(), encoding="utf-8")


if __name__ == "__main__":
    main()
