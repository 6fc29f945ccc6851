"""SPEC.md is fresh, complete and honest."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from vgicd_protocol import errors, messages, spec_tables
from vgicd_protocol.frames import Opcode

SPEC = Path(__file__).resolve().parents[3] / "protocol" / "SPEC.md"


def test_the_tables_are_those_of_the_declarations() -> None:
    assert spec_tables.refresh(SPEC.read_text()) == SPEC.read_text(), (
        "run: python -m vgicd_protocol.spec_tables --write protocol/SPEC.md"
    )


def test_every_table_is_used_once() -> None:
    assert sorted(re.findall(r"<!-- table: ([\w.]+) -->", SPEC.read_text())) == sorted(spec_tables.TABLES)


def test_every_opcode_and_status_is_described() -> None:
    text = SPEC.read_text()
    for opcode in Opcode:
        assert opcode.name in text
    for status in errors.Status:
        assert f"| 0x{int(status):02X} | {status.name} |" in text
    for message in messages.MESSAGES.values():
        assert f"| 0x{message.opcode:02X} | {message.name} |" in text


def test_a_stale_table_is_noticed_and_mended(tmp_path: Path) -> None:
    copy = tmp_path / "SPEC.md"
    copy.write_text(SPEC.read_text().replace("| 12 | `vcpu` | u16 |", "| 13 | `vcpu` | u16 |", 1))
    assert spec_tables.main([str(copy)]) == 1
    assert spec_tables.main(["--write", str(copy)]) == 0
    assert spec_tables.main([str(copy)]) == 0
    assert copy.read_text() == SPEC.read_text()


def test_an_unknown_table_is_an_error() -> None:
    with pytest.raises(KeyError):
        spec_tables.refresh("<!-- table: nonsense -->\n<!-- end -->")
