"""What every file of the tree keeps to, whatever its subject."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# Spelled in pieces, so that this file keeps to its own rules.
PACKAGE_HOSTS = re.compile(
    "|".join((r"pypi\." + "org", "python" + "hosted", r"deb\." + "debian", r"registry\." + "npm"))
)
MACHINE_PATHS = re.compile(r"/(?:work|farm|root|home/[a-z]+)" + r"/[A-Za-z.]")
UNFINISHED = re.compile(r"(?<![A-Za-z])(?:TO" + r"DO|FIX" + r"ME|pragma: no " + r"cover|type: ig" + r"nore(?!\[))")


def tracked_files() -> list[Path]:
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [path for name in listing.split("\0") if name and (path := ROOT / name).is_file()]


FILES = tracked_files()


def lines_matching(pattern: re.Pattern[str], paths: list[Path]) -> list[str]:
    found = []
    for path in paths:
        data = path.read_bytes()
        if b"\0" in data:
            continue
        for number, line in enumerate(data.decode("utf-8").splitlines(), start=1):
            if pattern.search(line):
                found.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()}")
    return found


def test_no_file_names_a_package_host() -> None:
    """Where packages come from is the machine's setting; a mirror must do."""
    assert lines_matching(PACKAGE_HOSTS, FILES) == []


def test_no_file_names_a_place_on_one_machine() -> None:
    assert lines_matching(MACHINE_PATHS, FILES) == []


def test_no_source_is_left_unfinished_or_excused() -> None:
    assert lines_matching(UNFINISHED, [path for path in FILES if path.suffix in {".py", ".c", ".h", ".S"}]) == []


SOURCED = "clients/gdb/vgicd_gdb.py"
"""gdb sources one file, into whatever Python it embeds, where nothing of ours is installed: it cannot be cut."""


def test_every_source_file_has_one_subject() -> None:
    """Six hundred lines are the most that one subject has needed."""
    sources = [path for path in FILES if path.suffix == ".py" and path != ROOT / SOURCED]
    assert [str(path.relative_to(ROOT)) for path in sources if path.read_bytes().count(b"\n") > 600] == []


@pytest.mark.parametrize(
    "package",
    ["vgicd", "protocol/vgicd_protocol", "clients/vgicd_client", "clients/vgicd_machine", "clients/vgicd_bridge"],
)
def test_a_package_says_that_it_is_typed(package: str) -> None:
    assert (ROOT / package / "py.typed").is_file()
