"""docs/emulators.md shows what happens: its programs are run and its commands played."""

from __future__ import annotations

import difflib
import os
import re
import subprocess
from pathlib import Path
from typing import Final

import pytest

from tests.gdb.page import played
from tests.tools import require_tool
from vgicd_client import private_daemon
from vgicd_machine import guests

ROOT: Final = Path(__file__).resolve().parents[2]
PAGE: Final = ROOT / "docs" / "emulators.md"
SHOWN: Final = PAGE.read_text(encoding="utf-8")
C: Final = ROOT / "clients" / "c"
STRICT: Final = ("-std=c99", "-Wall", "-Wextra", "-Werror")


def blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```$", SHOWN, re.MULTILINE | re.DOTALL)


def test_the_emulator_in_python_prints_what_the_page_shows(capsys: pytest.CaptureFixture[str]) -> None:
    (program,) = blocks("python")
    exec(compile(program, str(PAGE), "exec"), {})
    assert capsys.readouterr().out == blocks("text")[0]


def test_the_first_program_in_c_prints_what_the_page_shows(tmp_path: Path) -> None:
    require_tool("gcc", "gcc")
    program = tmp_path / "first"
    source = tmp_path / "first.c"
    source.write_text(blocks("c")[0], encoding="utf-8")
    subprocess.run(["gcc", *STRICT, f"-I{C}", "-o", program, source, C / "vgicd.c"], check=True)
    with private_daemon(vcpus=1) as daemon:
        done = subprocess.run([program, daemon.address], capture_output=True, text=True, timeout=20, check=False)
    assert (done.returncode, done.stderr, done.stdout.rstrip()) == (0, "", blocks("text")[1].rstrip())


def test_the_vector_in_c_compiles(tmp_path: Path) -> None:
    require_tool("gcc", "gcc")
    source = tmp_path / "vector.c"
    source.write_text(
        f'#include "vgicd.h"\n#include <stdio.h>\nvoid ask(struct vgicd *gic);\nvoid ask(struct vgicd *gic)\n'
        f"{{\n{blocks('c')[1]}}}\n",
        encoding="utf-8",
    )
    subprocess.run(["gcc", *STRICT, f"-I{C}", "-c", "-o", os.devnull, source], check=True)


@pytest.mark.long
def test_every_command_of_the_page_prints_what_the_page_shows(tmp_path: Path) -> None:
    require_tool("aarch64-linux-gnu-gcc", "gcc-aarch64-linux-gnu")
    cache = tmp_path / ".cache" / "guests"
    cache.mkdir(parents=True)
    (cache / "tour.elf").symlink_to(guests.build())
    assert sum(block.count("$ ") for block in blocks("console")) >= 4
    now = played(SHOWN, tmp_path)
    assert list(difflib.unified_diff(SHOWN.splitlines(), now.splitlines(), "shown", "now", lineterm="")) == []


def test_every_file_that_the_page_names_exists() -> None:
    prose = re.sub(r"^```.*?^```$", "", SHOWN, flags=re.MULTILINE | re.DOTALL)
    linked = re.findall(r"\]\(([^)#:]+)\)", prose)
    named = re.findall(r"`((?:clients|docs|protocol|scripts|tests)/[\w./-]+)`", prose)
    assert linked
    assert named
    assert [name for name in linked if not (PAGE.parent / name).exists()] == []
    assert [name for name in named if not (ROOT / name).exists()] == []
