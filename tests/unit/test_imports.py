"""Who may import whom.

The core (`registers`, `hw`, `vgic`, `domain`) is a function of its inputs: it knows no event loop, no wire, no
clock and no randomness.  Clients reach a daemon through the protocol only.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = {
    "vgicd": ROOT / "vgicd",
    "vgicd_protocol": ROOT / "protocol" / "vgicd_protocol",
    "vgicd_client": ROOT / "clients" / "vgicd_client",
    "vgicd_machine": ROOT / "clients" / "vgicd_machine",
    "vgicd_bridge": ROOT / "clients" / "vgicd_bridge",
}

# Layer of the core -> the layers it may import besides itself, inner ones first.
CORE = {
    "vgicd.registers": (),
    "vgicd.hw": ("vgicd.registers",),
    "vgicd.vgic": ("vgicd.registers", "vgicd.hw"),
    "vgicd.domain": ("vgicd.registers", "vgicd.hw", "vgicd.vgic"),
}
# What the core may take from the standard library: nothing that reaches outside the process or its arguments.
CORE_STDLIB = {
    "__future__", "abc", "bisect", "collections", "collections.abc", "contextlib", "dataclasses", "enum", "functools",
    "heapq", "itertools", "operator", "types", "typing",
}  # fmt: skip
REACH_OUTSIDE = {
    "asyncio", "click", "construct", "logging", "pygdbmi", "random", "rich", "secrets", "selectors", "socket", "ssl",
    "structlog", "trio", "unicorn",
}  # fmt: skip

# Package -> the other packages of ours that it may import.
SIBLINGS = {
    "vgicd": {"vgicd_protocol"},
    "vgicd_protocol": set(),
    "vgicd_client": {"vgicd_protocol"},
    "vgicd_machine": {"vgicd_protocol", "vgicd_client"},
    "vgicd_bridge": {"vgicd_protocol", "vgicd_client", "vgicd_machine"},
}
# What of the clients reaches further, in an import inside a function, and how far: two do without a daemon, the third
# writes files that only the register rows and the layout for gdb can tell, the others say it themselves.
IN_PROCESS = {
    "vgicd_client.ctl.worlds": "vgicd.domain",
    "vgicd_machine.gic.domain_port": "vgicd.domain",
    "vgicd_client.ctl.exports": "vgicd.export",
    "vgicd_machine.gdb.link": "vgicd.gdbstub.packets",  # bytes to packets and back, pure: one codec for both endpoints
    "vgicd_client.ctl.run": "vgicd_machine.command",
    "vgicd_client.ctl.bridge": "vgicd_bridge",  # a command of its own, which a client without QEMU does not load
}


class Import(NamedTuple):
    """`module` imports `target` at `line`; `lazy` when it happens inside a function."""

    module: str
    target: str
    line: int
    lazy: bool

    def __str__(self) -> str:
        return f"{self.module}:{self.line} imports {self.target}"


def module_name(path: Path, package: str) -> str:
    parts = path.relative_to(PACKAGES[package]).with_suffix("").parts
    return ".".join((package, *(part for part in parts if part != "__init__")))


def imports_of(path: Path, module: str) -> Iterator[Import]:
    """Every import statement of a file, those under `if TYPE_CHECKING` and inside functions included."""

    def visit(node: ast.AST, lazy: bool) -> Iterator[Import]:
        inside = lazy or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        if isinstance(node, ast.Import):
            yield from (Import(module, alias.name, node.lineno, lazy) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                is_package = path.name == "__init__.py"
                anchor = module.split(".")[: len(module.split(".")) - node.level + is_package]
                base = ".".join((*anchor, base)).rstrip(".")
            # `from package import module` names a module; `from module import name` only the module itself.
            targets = {f"{base}.{alias.name}" for alias in node.names} if not is_file(base) else {base}
            yield from (Import(module, target, node.lineno, lazy) for target in sorted(targets))
        for child in ast.iter_child_nodes(node):
            yield from visit(child, inside)

    yield from visit(ast.parse(path.read_text(encoding="utf-8"), str(path)), lazy=False)


def is_file(module: str) -> bool:
    """True for a module of ours that is one file, and for everything that is not ours."""
    package, *rest = module.split(".")
    return package not in PACKAGES or PACKAGES[package].joinpath(*rest).with_suffix(".py").is_file()


def every_import() -> list[Import]:
    return [
        found
        for package, folder in PACKAGES.items()
        for path in sorted(folder.rglob("*.py"))
        for found in imports_of(path, module_name(path, package))
    ]


def within(module: str, layer: str) -> bool:
    return module == layer or module.startswith(layer + ".")


def is_ours(module: str) -> bool:
    return module.partition(".")[0] in PACKAGES


IMPORTS = every_import()


def test_there_is_something_to_check() -> None:
    """A moved package must not make the rules below pass by finding nothing."""
    for layer in (*CORE, *PACKAGES):
        assert any(within(found.module, layer) for found in IMPORTS), layer


@pytest.mark.parametrize("layer", CORE)
def test_a_layer_of_the_core_imports_only_the_layers_inside_it(layer: str) -> None:
    allowed = (layer, *CORE[layer])
    wrong = [
        str(found)
        for found in IMPORTS
        if within(found.module, layer)
        and is_ours(found.target)
        and not any(within(found.target, inner) for inner in allowed)
    ]
    assert wrong == []


@pytest.mark.parametrize("layer", CORE)
def test_the_core_imports_nothing_that_reaches_outside_its_arguments(layer: str) -> None:
    wrong = [
        str(found)
        for found in IMPORTS
        if within(found.module, layer) and not is_ours(found.target) and found.target not in CORE_STDLIB
    ]
    assert wrong == []


@pytest.mark.parametrize("package", SIBLINGS)
def test_packages_meet_only_at_the_protocol(package: str) -> None:
    wrong = [
        str(found)
        for found in IMPORTS
        if within(found.module, package)
        and is_ours(found.target)
        and found.target.split(".")[0] not in SIBLINGS[package] | {package}
        and not (found.lazy and within(found.target, IN_PROCESS.get(found.module, "nothing")))
    ]
    assert wrong == []


def test_what_is_exported_needs_neither_the_server_nor_its_libraries() -> None:
    """Files are made for people who have a shell and no daemon, and are bytes that nobody waits for."""
    allowed = (
        *CORE, "vgicd.__version__", "vgicd.export", "vgicd.gdbstub.arch", "vgicd.gdbstub.layout",
        "vgicd.gdbstub.lifecycle", "vgicd_protocol",
    )  # fmt: skip
    wrong = [
        str(found)
        for found in IMPORTS
        if within(found.module, "vgicd.export")
        and not any(within(found.target, layer) for layer in allowed)
        and found.target.split(".")[0] not in sys.stdlib_module_names
    ]
    assert wrong == []


def test_the_protocol_imports_only_construct_and_the_standard_library() -> None:
    wrong = [
        str(found)
        for found in IMPORTS
        if within(found.module, "vgicd_protocol")
        and not is_ours(found.target)
        and found.target.split(".")[0] not in sys.stdlib_module_names | {"construct"}
    ]
    assert wrong == []


def test_the_emulator_is_imported_only_when_it_is_used() -> None:
    """Unicorn's engine is GPLv2 and an extra: nothing but the machine may name it."""
    wrong = [
        str(found)
        for found in IMPORTS
        if found.target.split(".")[0] == "unicorn" and not within(found.module, "vgicd_machine")
    ]
    assert wrong == []


def test_the_domain_loads_without_anything_that_reaches_outside() -> None:
    """What the text of the modules promises, an interpreter without site packages confirms."""
    program = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r}); import vgicd.domain.domain; "
        f"print(sorted({REACH_OUTSIDE!r} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-S", "-E", "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "[]", "")


def test_the_domain_refuses_wrong_input_without_the_help_of_assert() -> None:
    """No `assert` on input: under `python -O` it would be gone (the QEMU and uvmm denial-of-service bugs)."""
    wrong = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for folder in PACKAGES.values()
        for path in sorted(folder.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Assert)
    ]
    assert wrong == []
