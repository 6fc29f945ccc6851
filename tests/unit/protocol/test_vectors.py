"""The golden vectors: released frames mean what they always meant, both ways."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from vgicd_protocol import golden, messages
from vgicd_protocol.frames import HEAD_CODEC, REPLY_BIT, REPLY_HEAD_CODEC, Opcode

FOLDER = Path(__file__).resolve().parents[3] / "protocol" / "vectors"
FILES = sorted(FOLDER.glob("*.json"))
VECTORS = [
    pytest.param(vector, id=f"{path.stem}-{number}")
    for path in FILES
    for number, vector in enumerate(json.loads(path.read_text()))
]


@pytest.mark.parametrize("vector", VECTORS)
def test_a_released_frame_is_parsed_as_ever(vector: dict[str, Any]) -> None:
    frame = bytes.fromhex(vector["frame"])
    codec = REPLY_HEAD_CODEC if frame[5] & REPLY_BIT else HEAD_CODEC
    assert golden.plain(codec.fields(frame)) == vector["head"]
    assert golden.plain(golden.decode(vector)) == vector["fields"]


def test_the_declarations_build_the_released_frames() -> None:
    assert {path.stem: json.loads(path.read_text()) for path in FILES} == {
        name.lower(): items for name, items in golden.vectors().items()
    }


def test_every_message_has_vectors() -> None:
    names = {message.name.lower() for message in messages.MESSAGES.values()} | {"event", "error", "split"}
    assert {path.stem for path in FILES} == names
    for path in FILES:
        abouts = {vector["about"] for vector in json.loads(path.read_text())}
        if path.stem not in ("event", "error", "split"):
            assert {"request", "reply", "refusal"} <= abouts
            opcode = Opcode[path.stem.upper()]
            assert ("request with EFFECTS" in abouts) == messages.MESSAGES[opcode].effects


def test_the_generator_never_changes_a_released_vector(tmp_path: Path) -> None:
    assert golden.main([str(tmp_path)]) == 0
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == {p.name: p.read_text() for p in FILES}
    tampered = tmp_path / "ping.json"
    tampered.write_text("[]\n")
    assert golden.main([str(tmp_path)]) == 1
    assert tampered.read_text() == "[]\n"
