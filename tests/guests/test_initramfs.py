"""The Linux guest's initial file system: the same bytes from the same parts, in a form that others read too."""

from __future__ import annotations

import gzip
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.guests.debs import ROOT
from tests.tools import require_tool
from vgicd_machine import guests
from vgicd_machine.errors import MissingPart


class Tree:
    """A source tree with what the initial file system is made of; BusyBox is made up."""

    def __init__(self, root: Path) -> None:
        shutil.copytree(ROOT / "clients" / "guests" / "linux", root / "clients" / "guests" / "linux")
        (root / "scripts").mkdir()
        self.script = Path(shutil.copy(ROOT / "scripts" / "build-initramfs", root / "scripts"))
        self.busybox = root / ".cache" / "guests" / "debian" / "busybox"
        self.busybox.parent.mkdir(parents=True)
        self.busybox.write_bytes(b"busybox")
        self.output = root / ".cache" / "guests" / "linux" / "initramfs.cpio.gz"

    def build(self, **environment: str) -> tuple[int, str]:
        result = subprocess.run(
            [sys.executable, self.script],
            capture_output=True,
            text=True,
            check=False,
            env={"PATH": os.environ["PATH"], **environment},
        )
        return result.returncode, result.stderr


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path / "tree")


def members(archive: bytes) -> list[tuple[str, int, bytes, tuple[int, ...]]]:
    """Name, mode, content and the other fields of each member of a `newc` archive."""
    found = []
    at = 0
    while True:
        assert archive[at : at + 6] == b"070701"
        fields = [int(archive[at + 6 + 8 * n : at + 14 + 8 * n], 16) for n in range(13)]
        name = archive[at + 110 : at + 110 + fields[11] - 1].decode()
        start = (at + 110 + fields[11] + 3) & ~3
        if name == "TRAILER!!!":
            return found
        found.append((name, fields[1], archive[start : start + fields[6]], tuple(fields)))
        at = (start + fields[6] + 3) & ~3


def test_same_parts_give_the_same_bytes_whatever_their_dates(tree: Tree, tmp_path: Path) -> None:
    require_tool("aarch64-linux-gnu-gcc", "gcc-aarch64-linux-gnu")
    other = Tree(tmp_path / "other")
    for file in (other.busybox, *(tmp_path / "other" / "clients" / "guests" / "linux").iterdir()):
        os.utime(file, (1e9, 1e9))
    assert tree.build() == (0, "")
    assert other.build() == (0, "")
    assert tree.output.read_bytes() == other.output.read_bytes()
    data = gzip.decompress(tree.output.read_bytes())
    assert len(data) % 4 == 0
    found = {name: (mode, content, fields) for name, mode, content, fields in members(data)}
    assert list(found) == sorted(found)
    assert all(fields[2:4] == (0, 0) and fields[5] == 0 for _, _, fields in found.values()), "not root's, or dated"
    mode, content, _ = found["init"]
    assert (mode, content) == (stat.S_IFREG | 0o755, (ROOT / "clients" / "guests" / "linux" / "init").read_bytes())
    assert found["bin/sh"][:2] == (stat.S_IFLNK | 0o777, b"busybox")
    assert found["dev/console"][0] == stat.S_IFCHR | 0o600
    assert found["dev/console"][2][9:11] == (5, 1)
    for program in ("snapshot", "loopback"):
        assert found[f"bin/{program}"][1][:4] == b"\x7fELF"


def test_it_is_built_again_only_when_a_part_is_newer(tree: Tree) -> None:
    require_tool("aarch64-linux-gnu-gcc", "gcc-aarch64-linux-gnu")
    assert tree.build()[0] == 0
    os.utime(tree.output, (2e9, 2e9))
    assert tree.build()[0] == 0
    assert tree.output.stat().st_mtime == 2e9
    os.utime(tree.busybox, (2.1e9, 2.1e9))
    assert tree.build()[0] == 0
    assert tree.output.stat().st_mtime != 2e9


def test_what_is_missing_has_a_status_of_its_own(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    status, errors = tree.build(CROSS="no-such-compiler")
    assert (status, "gcc-aarch64-linux-gnu" in errors) == (3, True)
    tree.busybox.unlink()
    status, errors = tree.build()
    assert (status, "run scripts/fetch-guests" in errors) == (4, True)
    root = tree.script.parents[1]
    monkeypatch.setattr(guests, "_ROOT", root)
    monkeypatch.setattr(guests, "_CACHE", root / ".cache" / "guests")
    with pytest.raises(MissingPart, match="BusyBox, which is not here: run scripts/fetch-guests"):
        guests.initramfs()
    with pytest.raises(MissingPart, match="'linux' is not here: run scripts/fetch-guests"):
        guests.fetched("linux")
