"""How the C client is built and used: its header fresh, no warning, from C++, by CMake, by pkg-config; its examples."""

from __future__ import annotations

import os
import re
import sys
import tomllib
from pathlib import Path

import pytest

from tests.c.harness import CLIENT, ROOT, STRICT, VALGRIND, build, compiler, run
from tests.tools import require_tool
from vgicd_client import PrivateDaemon
from vgicd_protocol import c_header, frames, vector
from vgicd_protocol.errors import Status
from vgicd_protocol.events import EventKind

EXAMPLES = CLIENT / "example"
HEADER = CLIENT / "vgicd_protocol.h"
GNU17 = pytest.param(("-O3", "-std=gnu17", "-D_GNU_SOURCE", "-DNDEBUG"), marks=pytest.mark.long)
CONSUMER = """
#include <vgicd.h>
int main(void) { struct vgicd *gic = vgicd_new(); vgicd_free(gic); return gic == 0; }
"""


def test_the_checked_in_header_is_what_the_declarations_generate() -> None:
    assert HEADER.read_text() == c_header.header(), (
        "python -m vgicd_protocol.c_header --write clients/c/vgicd_protocol.h"
    )
    run(sys.executable, "-m", "vgicd_protocol.c_header", HEADER)


def test_a_stale_header_is_noticed_and_written_anew(tmp_path: Path) -> None:
    stale = tmp_path / "stale.h"
    assert c_header.main([str(stale)]) == 1
    stale.write_text(HEADER.read_text().replace("VGICD_OP_READ ", "VGICD_OP_READD "))
    assert c_header.main([str(stale)]) == 1
    assert c_header.main(["--write", str(stale)]) == 0
    assert stale.read_text() == HEADER.read_text()


def test_the_header_has_the_numbers_of_the_declarations() -> None:
    found = dict(re.findall(r"^#define VGICD_(\w+) +(0x[0-9A-F]+|\d+)u$", HEADER.read_text(), re.MULTILINE))
    numbers = {name: int(value, 0) for name, value in found.items()}
    for kind, members in {"OP": frames.Opcode, "STATUS": Status, "EVENT": EventKind, "ROLE": frames.Role}.items():
        for member in members:
            assert numbers[f"{kind}_{member.name}"] == member
    offset = 0
    for name, code in zip(frames.HOT_CODEC.names, frames.HOT_CODEC.format[1:], strict=True):
        assert numbers.get(f"HOT_{name.upper()}", numbers.get(f"HEAD_{name.upper()}")) == offset
        offset += {"B": 1, "H": 2, "I": 4, "Q": 8}[code]
    assert numbers["HOT_BYTES"] == offset == frames.HOT_SIZE
    assert numbers["ENTRY_BYTES"] == vector.ENTRY_CODEC.size
    assert (numbers["VECTOR_ENTRIES"], numbers["VECTOR_REPLY_RESULTS"]) == (
        vector.ENTRIES_OFFSET,
        vector.RESULTS_OFFSET,
    )


@pytest.mark.parametrize("also", [("-O2",), GNU17], ids=["c99", "gnu17"])
@pytest.mark.parametrize("source", ["vgicd.c", "example/emulator.c", "example/first.c"])
def test_no_source_has_a_warning(tmp_path: Path, source: str, also: tuple[str, ...]) -> None:
    """Also in a build with habits of its own."""
    run(compiler(), *STRICT, *also, f"-I{CLIENT}", "-c", CLIENT / source, "-o", tmp_path / "object.o")


def test_the_library_needs_nothing_but_the_c_library_and_ends_no_process(tmp_path: Path) -> None:
    """And writes to nobody's standard output: what it calls from outside is a list."""
    require_tool("nm", "binutils")
    target = tmp_path / "vgicd.o"
    run(compiler(), *STRICT, "-O2", "-c", CLIENT / "vgicd.c", "-o", target)
    symbols = run("nm", target)
    undefined = {line.split()[1].partition("@")[0] for line in symbols.splitlines() if line.split()[0] == "U"}
    assert not undefined & {
        "exit",
        "_exit",
        "abort",
        "printf",
        "puts",
        "fputs",
        "fprintf",
        "perror",
        "signal",
        "stderr",
    }
    assert {"malloc", "free", "realloc", "calloc"} & undefined == {"free", "realloc", "calloc"}
    state = [line for line in symbols.splitlines() if re.search(r" [BbDdC] ", line)]
    assert state == []  # no global state
    public = {line.split()[2] for line in symbols.splitlines() if " T " in line}
    declared = set(
        re.findall(r"\b(vgicd_\w+)\(struct|\b(vgicd_new|vgicd_strerror)\(", (CLIENT / "vgicd.h").read_text())
    )
    assert all(name.startswith("vgicd_") for name in public)
    assert {one or two for one, two in declared} <= public


def test_cplusplus_programs_use_the_header_as_it_is(tmp_path: Path) -> None:
    require_tool("g++", "g++")
    source, library = tmp_path / "user.cc", tmp_path / "vgicd.o"
    source.write_text(CONSUMER)
    run(compiler(), *STRICT, "-c", CLIENT / "vgicd.c", "-o", library)
    flags = ("-std=c++11", "-pedantic", "-Wall", "-Wextra", "-Werror", "-Wold-style-cast", "-Wconversion")
    run("g++", *flags, f"-I{CLIENT}", source, library, "-o", tmp_path / "user")
    run(tmp_path / "user")


def test_the_release_is_the_projects() -> None:
    release = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert f"project(vgicd VERSION {release} " in (CLIENT / "CMakeLists.txt").read_text()


@pytest.mark.long
def test_cmake_installs_what_find_package_and_pkg_config_find(tmp_path: Path) -> None:
    """As somebody else's project does it, from a folder that knows the installed one only."""
    require_tool("cmake", "cmake")
    require_tool("pkg-config", "pkg-config")
    built, prefix, user = tmp_path / "build", tmp_path / "prefix", tmp_path / "user"
    options = ("-DVGICD_WERROR=ON", "-DCMAKE_INSTALL_LIBDIR=lib", f"-DCMAKE_INSTALL_PREFIX={prefix}")
    run("cmake", "-S", CLIENT, "-B", built, *options)
    run("cmake", "--build", built)
    assert (built / "vgicd_emulator").exists()
    run("cmake", "--install", built)

    user.mkdir()
    (user / "user.c").write_text(CONSUMER)
    (user / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.16)\nproject(user C)\nfind_package(vgicd 0.1 REQUIRED)\n"
        "add_executable(user user.c)\ntarget_link_libraries(user PRIVATE vgicd::vgicd)\n"
    )
    run("cmake", "-S", user, "-B", user / "build", f"-DCMAKE_PREFIX_PATH={prefix}")
    run("cmake", "--build", user / "build")
    run(user / "build" / "user")

    environment = os.environ | {"PKG_CONFIG_PATH": str(prefix / "lib" / "pkgconfig")}
    flags = run("pkg-config", "--cflags", "--libs", "vgicd >= 0.1", env=environment).split()
    run(compiler(), user / "user.c", *flags, "-o", user / "plain")
    run(user / "plain")


@pytest.mark.long
def test_cmake_builds_it_inside_another_project_shared_and_sanitized(tmp_path: Path, daemon: PrivateDaemon) -> None:
    require_tool("cmake", "cmake")
    run("cmake", "-S", CLIENT, "-B", tmp_path / "shared", "-DBUILD_SHARED_LIBS=ON")
    run("cmake", "--build", tmp_path / "shared")
    run(tmp_path / "shared" / "vgicd_emulator", daemon.address)
    run("cmake", "-S", CLIENT, "-B", tmp_path / "sanitized", "-DVGICD_SANITIZE=ON")
    run("cmake", "--build", tmp_path / "sanitized")
    run(tmp_path / "sanitized" / "vgicd_emulator", daemon.address)
    (tmp_path / "CMakeLists.txt").write_text(
        f"cmake_minimum_required(VERSION 3.16)\nproject(user C)\nadd_subdirectory({CLIENT} vgicd)\n"
        "add_executable(user user.c)\ntarget_link_libraries(user PRIVATE vgicd::vgicd)\n"
    )
    (tmp_path / "user.c").write_text(CONSUMER)
    run("cmake", "-S", tmp_path, "-B", tmp_path / "whole")
    run("cmake", "--build", tmp_path / "whole")
    assert not (tmp_path / "whole" / "vgicd" / "vgicd_emulator").exists()


def test_the_example_emulator_passes_on_a_daemon_as_it_finds_it(
    flavour: str, builds: Path, daemon: PrivateDaemon
) -> None:
    program = build(flavour, builds, EXAMPLES / "emulator.c")
    wrapper = VALGRIND if flavour == "valgrind" else ()
    for _ in range(2):
        said = run(*wrapper, program, daemon.address)
        assert said == "timer ticks 10, pulses 3, SGIs 1, spurious 0, unexpected 0, aborts 0\nPASS\n"


def test_the_first_program_of_the_readme_is_the_one_that_runs(
    builds: Path, flavour: str, daemon: PrivateDaemon
) -> None:
    source = EXAMPLES / "first.c"
    said = run(build(flavour, builds, source), daemon.address)
    assert said == "IRQ input of vCPU 0: 1\nacknowledged 27, IRQ input now: 0\n"
    body = source.read_text().partition("*/\n")[2]
    assert body in (CLIENT / "README.md").read_text()
