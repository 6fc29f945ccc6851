"""The README's tour is what happens: every command of it is run, and must print what the page shows."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from vgicd_client import private_daemon

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(kind: str) -> list[str]:
    """The README's fenced blocks of one kind, in order."""
    return re.findall(rf"^```{kind}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def commands() -> list[tuple[str, str]]:
    """Each `vgicctl` command that the README shows with its output."""
    pairs = []
    for block in blocks("console"):
        for command, output in re.findall(r"^\$ (vgicctl .*)\n((?:(?!\$ ).*\n)*)", block, re.MULTILINE):
            if output:
                pairs.append((command, output))
    return pairs


def stripped(text: str) -> str:
    """`text` without blanks at the ends of its lines, which a page does not show."""
    return "".join(line.rstrip() + "\n" for line in text.splitlines())


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with private_daemon(vcpus=2, spis=64) as daemon:
        yield daemon.address


def test_the_tour_prints_what_the_readme_shows(address: str, tmp_path: Path) -> None:
    environment = os.environ | {"VGICD_ADDRESS": address}
    shown = commands()
    assert len(shown) >= 12
    for command, expected in shown:
        arguments = [sys.executable, "-m", "vgicd_client.ctl.main", *shlex.split(command)[1:]]
        done = subprocess.run(
            arguments, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False
        )
        assert (command, stripped(done.stdout), done.stderr) == (command, expected, "")


def test_the_python_example_prints_what_the_readme_shows(capsys: pytest.CaptureFixture[str]) -> None:
    (example,) = blocks("python")
    exec(compile(example, "README.md", "exec"), {})
    assert capsys.readouterr().out == blocks("text")[0]


def test_every_file_that_the_readme_names_exists() -> None:
    named = set(re.findall(r"\]\(([^)#:]+)\)", README)) | set(re.findall(r"`((?:systemd|protocol)/[^`*]+)`", README))
    assert named
    assert sorted(name for name in named if not (ROOT / name).exists()) == []
