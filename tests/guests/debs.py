"""Debian packages made in a moment, for what unpacks them, and the project's scripts as modules."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import io
import sys
import tarfile
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parents[2]
IMAGE = bytes(56) + b"ARM\x64" + bytes(1000)  # all that tells an uncompressed arm64 kernel


def script(name: str) -> ModuleType:
    """scripts/`name`, imported."""
    loader = importlib.machinery.SourceFileLoader(name.replace("-", "_"), str(ROOT / "scripts" / name))
    spec = importlib.util.spec_from_loader(loader.name, loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    written, sys.dont_write_bytecode = sys.dont_write_bytecode, True  # no cache next to the scripts
    sys.modules[loader.name] = module  # where dataclasses look their annotations up
    try:
        loader.exec_module(module)
    finally:
        sys.dont_write_bytecode = written
    return module


def _tar(files: dict[str, bytes], compression: str) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=f"w:{compression}") as archive:  # type: ignore[call-overload]
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return stream.getvalue()


def package(folder: Path, name: str, files: dict[str, bytes], *, architecture: str = "arm64") -> Path:
    """Write a package with `files` into `folder`."""
    control = f"Package: {name}\nVersion: 1:2.3-4\nArchitecture: {architecture}\nDescription: made up\n more of it\n"
    parts = {
        "debian-binary": b"2.0\n",
        "control.tar.gz": _tar({"./control": control.encode()}, "gz"),
        "data.tar.xz": _tar(files, "xz"),
    }
    path = folder / f"{name}_2.3-4_{architecture}.deb"
    with path.open("wb") as output:
        output.write(b"!<arch>\n")
        for part, data in parts.items():
            output.write(f"{part:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(data):<10}`\n".encode() + data)
            output.write(b"\n" * (len(data) % 2))
    return path


def packages(folder: Path, kernel: bytes = IMAGE) -> Path:
    """`folder` with all that scripts/fetch-guests wants."""
    folder.mkdir()
    package(folder, "linux-image-6.1.0-1-arm64", {"./boot/config-6.1": b"y", "./boot/vmlinuz-6.1.0-1-arm64": kernel})
    package(folder, "busybox-static", {"./bin/busybox": b"busybox", "./usr/share/doc/x": b""})
    package(folder, "u-boot-qemu", {"./usr/lib/u-boot/qemu_arm64/u-boot.bin": b"u-boot"}, architecture="all")
    return folder
