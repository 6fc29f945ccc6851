"""docs/gdb.md shows what happens."""

from __future__ import annotations

import difflib
import re
from pathlib import Path

from tests.gdb import page
from tests.tools import require_tool


def test_every_command_of_the_page_prints_what_the_page_shows(tmp_path: Path) -> None:
    require_tool("gdb", "gdb")
    shown = page.PAGE.read_text(encoding="utf-8")
    blocks = [text for kind, text in page.parts(shown) if kind == "gdb"]
    assert sum(block.count("(gdb) ") for block in blocks) > 25
    now = page.played(shown, tmp_path)
    assert list(difflib.unified_diff(shown.splitlines(), now.splitlines(), "docs/gdb.md", "now", lineterm="")) == []


def test_every_file_that_the_page_names_exists() -> None:
    prose = "".join(text for kind, text in page.parts(page.PAGE.read_text(encoding="utf-8")) if not kind)
    named = re.findall(r"\]\(([^)#:]+)\)", prose)
    assert named
    assert [name for name in named if not (page.PAGE.parent / name).exists()] == []


def test_what_the_readme_shows_of_gdb_is_on_the_page() -> None:
    readme = (page.PAGE.parents[1] / "README.md").read_text(encoding="utf-8")
    shown = page.PAGE.read_text(encoding="utf-8")
    (block,) = [text for kind, text in page.parts(readme) if kind == "gdb"]
    commands = re.findall(r"^\(gdb\) .*\n(?:(?!\(gdb\) ).*\n)*", block, re.MULTILINE)
    assert len(commands) > 4
    assert [command for command in commands if command not in shown] == []
