"""The listings of these tests are what they say: each instruction, assembled, is the word beside it."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

HERE = Path(__file__).parent
LINE = re.compile(r'^\s*.*?\b([0-9a-f]{8})\s{4,}([a-z.][^"/\n]*)', re.MULTILINE)


def test_listings_assemble_to_their_words(tmp_path: Path) -> None:
    found = [(path.name, *match) for path in sorted(HERE.glob("*.py")) for match in LINE.findall(path.read_text())]
    assert len(found) > 190
    source, binary = tmp_path / "all.s", tmp_path / "all.bin"
    source.write_text("".join(f"{text}\n" for _, _, text in found))
    subprocess.run(["aarch64-linux-gnu-gcc", "-c", "-march=armv8-a", "-o", tmp_path / "o", source], check=True)
    subprocess.run(["aarch64-linux-gnu-objcopy", "-O", "binary", tmp_path / "o", binary], check=True)
    code = binary.read_bytes()
    assembled = [code[at : at + 4][::-1].hex() for at in range(0, len(code), 4)]
    assert [
        (name, word, text) for (name, word, text), other in zip(found, assembled, strict=True) if word != other
    ] == []
