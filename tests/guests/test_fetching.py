"""scripts/fetch-guests: whole or not at all, once, and a sentence when it cannot."""

from __future__ import annotations

import gzip
import hashlib
import json
import lzma
import shutil
import struct
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.guests.debs import IMAGE, ROOT, package, packages, script


class Clone:
    """A source tree with this one script, so that what it fetches goes to a cache of its own."""

    def __init__(self, root: Path) -> None:
        (root / "scripts").mkdir(parents=True)
        self.script = root / "scripts" / "fetch-guests"
        shutil.copy(ROOT / "scripts" / "fetch-guests", self.script)
        self.cache = root / ".cache" / "guests"
        self.guests = self.cache / "debian"

    def start(self, *arguments: str | Path, path: str = "/usr/bin:/bin", **environment: str) -> subprocess.Popen[str]:
        command = [sys.executable, self.script, *arguments]
        env = {"PATH": path, **environment}
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env)

    def run(self, *arguments: str | Path, path: str = "/usr/bin:/bin", **environment: str) -> tuple[int, str]:
        with self.start(*arguments, path=path, **environment) as process:
            _, errors = process.communicate(timeout=30)
        return process.returncode, errors

    def content(self) -> dict[str, bytes]:
        return {file.name: file.read_bytes() for file in self.guests.iterdir()}


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    return Clone(tmp_path / "clone")


def test_files_and_their_origin_come_out_of_packages(clone: Clone, tmp_path: Path) -> None:
    status, errors = clone.run("--packages", packages(tmp_path / "packages"))
    assert status == 0, errors
    content = clone.content()
    manifest = json.loads(content.pop("manifest.json"))
    assert content == {"Image": IMAGE, "busybox": b"busybox", "u-boot.bin": b"u-boot"}
    about = manifest["files"]["Image"]
    assert (about["package"], about["version"]) == ("linux-image-6.1.0-1-arm64", "1:2.3-4")
    assert about["sha256"] == hashlib.sha256(IMAGE).hexdigest()
    archive = tmp_path / "packages" / "linux-image-6.1.0-1-arm64_2.3-4_arm64.deb"
    assert about["package_sha256"] == hashlib.sha256(archive.read_bytes()).hexdigest()


def zboot(packed: bytes) -> bytes:
    """An EFI program around a packed kernel, as the kernel's zboot-header.S begins one."""
    return (
        struct.pack("<4s4sII8s32s", b"MZ", b"zimg", 0x1000, len(packed), b"", b"gzip").ljust(0x1000) + packed + b"end"
    )


@pytest.mark.parametrize("pack", [gzip.compress, lzma.compress, lambda image: zboot(gzip.compress(image))])
def test_compressed_kernel_is_unpacked(clone: Clone, tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    status, errors = clone.run("--packages", packages(tmp_path / "packed", pack(IMAGE)))
    assert status == 0, errors
    assert clone.content()["Image"] == IMAGE


def test_kernel_in_an_unknown_form_is_refused_and_the_old_one_kept(clone: Clone, tmp_path: Path) -> None:
    clone.run("--packages", packages(tmp_path / "packages"))
    status, errors = clone.run("--packages", packages(tmp_path / "other", b"MZ" + bytes(100)))
    assert (status, "no longer an arm64 Image" in errors) == (1, True)
    assert clone.content()["Image"] == IMAGE


def test_nothing_is_fetched_again_unless_it_is_damaged(clone: Clone, tmp_path: Path) -> None:
    clone.run("--packages", packages(tmp_path / "packages"))
    before = clone.guests.stat()
    status, errors = clone.run(path="")  # without apt: only what is there already can succeed
    assert (status, errors) == (0, "")
    assert clone.guests.stat() == before
    (clone.guests / "Image").write_bytes(b"short")
    status, errors = clone.run(path="")
    assert status == 1
    assert "there is no apt-get here" in errors
    assert "--packages FOLDER" in errors


def test_two_at_once_do_not_disturb_each_other_nor_what_a_killed_one_left(clone: Clone, tmp_path: Path) -> None:
    left = clone.cache / "fetching-killed"
    left.mkdir(parents=True)
    (left / "file").touch()
    folder = packages(tmp_path / "packages")
    running = [clone.start("--packages", folder) for _ in range(3)]
    ends = [(process.communicate(timeout=30)[1], process.returncode) for process in running]
    assert [status for _, status in ends] == [0, 0, 0], ends
    assert clone.content()["Image"] == IMAGE
    assert sorted(path.name for path in clone.cache.iterdir()) == [".fetching", "debian"]


@pytest.mark.parametrize(
    ("broken", "text"),
    [
        (b"!<arch>\n", "has no control.tar"),
        (b"!<arch>\n" + b"control.tar".ljust(48) + b"1\xd4".ljust(12), "is damaged"),
        (b"nothing", "is not a Debian package"),
        (None, "must have one arm64 package"),
    ],
)
def test_packages_that_cannot_be_used_are_named(clone: Clone, tmp_path: Path, broken: bytes | None, text: str) -> None:
    folder = packages(tmp_path / "packages")
    path = next(folder.glob("busybox*"))
    if broken is None:
        path.unlink()
        package(folder, "busybox-static", {"./bin/busybox": b""}, architecture="amd64")
    else:
        path.write_bytes(broken)
    status, errors = clone.run("--packages", folder)
    assert (status, text in errors) == (1, True), errors
    assert not clone.guests.exists()


def test_package_that_does_not_say_what_it_is_is_named(clone: Clone, tmp_path: Path) -> None:
    folder = packages(tmp_path / "packages")
    silent = tarfile.TarInfo("./control").tobuf() + bytes(1024)
    (folder / "silent.deb").write_bytes(b"!<arch>\n" + f"{'control.tar.':<48}{len(silent):<10}`\n".encode() + silent)
    status, errors = clone.run("--packages", folder)
    assert (status, "silent.deb does not say what it is" in errors) == (1, True), errors


def test_package_without_the_file_is_named(clone: Clone, tmp_path: Path) -> None:
    folder = packages(tmp_path / "packages")
    package(folder, "busybox-static", {"./bin/elsewhere": b""})
    status, errors = clone.run("--packages", folder)
    assert (status, "busybox-static_2.3-4_arm64.deb has no file" in errors) == (1, True), errors


def test_archives_are_taken_from_either_form_of_the_hosts_list(tmp_path: Path) -> None:
    fetch = script("fetch-guests")
    new = tmp_path / "debian.sources"
    new.write_text(
        "Types: deb deb-src\n# a remark\nURIs: http://mirror.example/debian\nSuites: bookworm\n bookworm-updates\n"
        "Components: main contrib\nArchitectures: amd64\nSigned-By: /keys\n\n"
        "Types: deb\nURIs: http://mirror.example/debian-security/\nSuites: bookworm-security\nComponents: main\n\n"
        "Types: deb\nURIs: http://vendor.example/tools\nSuites: ./\nComponents: main\n\n"
        "Enabled: no\nTypes: deb\nURIs: http://off.example/debian\nSuites: sid\nComponents: main\n\n"
        "Types: deb-src\nURIs: http://source.example/debian\nSuites: sid\nComponents: main\n"
    )
    found = list(fetch.read_sources(new))
    assert [source.uri.split("/")[3:] for source in found] == [["debian"], ["debian-security", ""], ["tools"]]
    assert found[0].suites == ("bookworm", "bookworm-updates")
    assert "Signed-By: /keys\n" in str(found[0])
    assert "Architectures" not in str(found[0]), "the host's architectures are not the guest's"
    old = tmp_path / "sources.list"
    old.write_text(
        "# deb http://off.example/debian sid main\n"
        "deb [arch=amd64 signed-by=/k] http://mirror.example/debian sid main\n"
        "deb-src http://mirror.example/debian sid main\ndeb http://mirror.example/debian sid contrib # main\n"
    )
    assert [(s.uri, s.suites, s.signed_by) for s in fetch.read_sources(old)] == [
        ("http://mirror.example/debian", ("sid",), "/k")
    ]


def test_host_that_knows_no_archive_is_told_what_to_do(clone: Clone, tmp_path: Path) -> None:
    path = tmp_path / "ubuntu.list"
    path.write_text("deb http://mirror.example/ubuntu jammy universe\n")
    status, errors = clone.run("--sources", path)
    assert (status, "names no archive" in errors, "--sources FILE" in errors) == (1, True, True)
    status, errors = clone.run("--sources", tmp_path / "none")
    assert (status, f"there is no {tmp_path}/none" in errors) == (1, True)


def test_apt_without_a_network_gives_its_own_reason(clone: Clone, tmp_path: Path) -> None:
    """The address is a folder that is not there: apt's own message, with no network in play."""
    if not shutil.which("apt-get"):
        pytest.skip("this host has no apt-get")
    path = tmp_path / "local.sources"
    path.write_text(f"Types: deb\nURIs: file:{tmp_path}/debian\nSuites: bookworm\nComponents: main\n")
    status, errors = clone.run("--sources", path)
    assert status == 1
    assert "apt-get update failed" in errors
    assert "E: " in errors
    assert sorted(path.name for path in clone.cache.iterdir()) == [".fetching"]


@pytest.mark.parametrize(
    "host", ["", 'Acquire::AllowInsecureRepositories "true"; APT::Get::AllowUnauthenticated "true";']
)
def test_an_archive_that_nobody_has_signed_is_refused_whatever_the_host_allows(
    clone: Clone, tmp_path: Path, host: str
) -> None:
    if not shutil.which("apt-get"):
        pytest.skip("this host has no apt-get")
    suite = tmp_path / "debian" / "dists" / "x"
    (suite / "main" / "binary-arm64").mkdir(parents=True)
    (suite / "main" / "binary-arm64" / "Packages").touch()
    nothing = hashlib.sha256().hexdigest()
    (suite / "Release").write_text(
        "Suite: x\nCodename: x\nArchitectures: arm64\nComponents: main\nDate: Thu, 01 Jan 2026 00:00:00 UTC\n"
        f"SHA256:\n {nothing} 0 main/binary-arm64/Packages\n"
    )
    (tmp_path / "host.conf").write_text(host)
    (tmp_path / "local.list").write_text(f"deb [trusted=yes] file:{tmp_path}/debian x main\n")
    status, errors = clone.run("--sources", tmp_path / "local.list", APT_CONFIG=str(tmp_path / "host.conf"))
    assert status == 1
    assert "is not signed" in errors
