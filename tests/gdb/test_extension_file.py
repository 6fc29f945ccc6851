"""The one file of the in-gdb extension: self-contained, of its time, fresh, and strict about threads."""

from __future__ import annotations

import ast
import contextlib
import sys

import pytest

from tests.gdb.extension import EXTENSION
from vgicd.export import gdb_tables
from vgicd_client import Plane, Space
from vgicd_protocol.frames import Opcode, Role

TEXT = EXTENSION.read_text(encoding="utf-8")
TREE = ast.parse(TEXT)


def constants() -> dict[str, object]:
    """What the file assigns from literals at its top level, by name."""
    found: dict[str, object] = {}
    for node in TREE.body:
        if isinstance(node, ast.Assign):
            with contextlib.suppress(ValueError):  # no literal
                value = ast.literal_eval(node.value)
                names = ast.literal_eval(f"[{quoted(node.targets[0])}]")
                found |= zip(names, value if isinstance(node.targets[0], ast.Tuple) else [value], strict=True)
    return found


def quoted(target: ast.expr) -> str:
    names = target.elts if isinstance(target, ast.Tuple) else [target]
    return ", ".join(repr(ast.unparse(name)) for name in names)


def test_its_numbers_are_those_of_the_protocol() -> None:
    known = constants()
    opcodes = ("HELLO", "READ", "LINE", "VECTOR", "LR_GET", "IRQ_INFO", "DUMP", "SUBSCRIBE")
    assert {name: known[name] for name in opcodes} == {name: Opcode[name] for name in opcodes}
    assert (known["EVENT_FRAME"], known["ERROR_FRAME"]) == (Opcode.EVENT | 0x80, Opcode.ERROR | 0x80)
    assert known["BYE_REPLY"] == Opcode.BYE | 0x80
    assert known["SPACES"] == {name: Space[name] for name in ("GICD", "GICC", "GICH")}
    assert known["ROLES"] == tuple(role.name.lower() for role in Role)
    assert known["DEBUG"] == Plane.DEBUG << 4


def test_its_tables_are_fresh() -> None:
    """`python -m vgicd.export.gdb_tables --write clients/gdb/vgicd_gdb.py` mends this."""
    assert gdb_tables.replaced(TEXT) == TEXT


@pytest.mark.parametrize(
    "text",
    [
        "",
        gdb_tables.FIRST,
        f"{gdb_tables.LAST}\n{gdb_tables.FIRST}\n",
        f"{gdb_tables.FIRST}\n{gdb_tables.FIRST}\n{gdb_tables.LAST}\n",
    ],
)
def test_a_file_without_its_markers_is_refused(text: str) -> None:
    with pytest.raises(gdb_tables.MarkersMissing):
        gdb_tables.replaced(text)


def test_what_stands_around_the_tables_is_kept() -> None:
    text = f"before\n{gdb_tables.FIRST}\nold\n{gdb_tables.LAST}\nbehind\n"
    mended = gdb_tables.replaced(text)
    assert mended.startswith(f"before\n{gdb_tables.FIRST}\n# fmt: off\n")
    assert mended.endswith(f"{gdb_tables.LAST}\nbehind\n")
    assert "old" not in mended.split(gdb_tables.LAST)[0].splitlines()


def test_it_imports_nothing_but_the_standard_library_and_gdb() -> None:
    imported = set()
    for node in ast.walk(TREE):
        if isinstance(node, ast.Import):
            imported |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add((node.module or "").split(".")[0])
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            imported.add(ast.literal_eval(node.args[0]))
    assert imported <= sys.stdlib_module_names | {"gdb"}
    assert "gdb" in imported


def test_python_3_8_can_parse_it_and_has_what_it_calls() -> None:
    """Debian 11's gdb embeds 3.9, Ubuntu 20.04's 3.8."""
    ast.parse(TEXT, feature_version=(3, 8))
    younger = {"removeprefix", "removesuffix", "pairwise", "bit_count", "batched", "cache", "is_relative_to"}
    for node in ast.walk(TREE):
        if isinstance(node, ast.Attribute | ast.Name):
            assert (node.attr if isinstance(node, ast.Attribute) else node.id) not in younger, ast.unparse(node)
        if isinstance(node, ast.Call):
            names = {keyword.arg for keyword in node.keywords}
            assert not names & {"strict", "slots", "kw_only"}, ast.unparse(node)
        assert not isinstance(node, ast.Match | ast.TryStar), ast.unparse(node)


def test_generic_types_stand_only_in_annotations() -> None:
    """Evaluated, `list[int]` needs 3.9 and `int | None` 3.10; annotations are not evaluated in this file."""
    annotations = set()
    for node in ast.walk(TREE):
        for name in ("annotation", "returns"):
            if isinstance(annotation := getattr(node, name, None), ast.AST):
                annotations |= set(ast.walk(annotation))
    builtin = {
        "list",
        "dict",
        "tuple",
        "set",
        "frozenset",
        "deque",
        "type",
        "Callable",
        "Iterable",
        "Iterator",
        "Sequence",
    }
    for node in ast.walk(TREE):
        if node in annotations:
            continue
        if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name):
            assert node.value.id not in builtin, ast.unparse(node)


def functions() -> dict[str, ast.FunctionDef]:
    """Every function, as "name" or "Class.name"."""
    found = {node.name: node for node in TREE.body if isinstance(node, ast.FunctionDef)}
    for owner in TREE.body:
        if isinstance(owner, ast.ClassDef):
            found |= {f"{owner.name}.{node.name}": node for node in owner.body if isinstance(node, ast.FunctionDef)}
    return found


def called_from(start: str) -> set[str]:
    """Names of this file's functions that a call of `start` may reach: by name, so rather too many than too few."""
    known = functions()
    reached: set[str] = set()
    waiting = [start]
    while waiting:
        name = waiting.pop()
        if name in reached:
            continue
        reached.add(name)
        for node in ast.walk(known[name]):
            if isinstance(node, ast.Name) and node.id in known:
                waiting.append(node.id)
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr not in AMBIGUOUS:
                waiting += [full for full in known if full.endswith(f".{node.func.attr}")]
    return reached


AMBIGUOUS = {"get", "append", "close", "set", "is_set"}
"""Methods of the standard library's objects that classes of the file happen to have, too."""


def test_the_thread_touches_nothing_of_gdb_but_post_event() -> None:
    """gdb's API is for gdb's own thread (gdb manual, Threading in GDB)."""
    known = functions()
    reached = called_from("Watcher._work")
    assert {"Watcher._take", "Watcher._say", "event_text", "Frames.feed"} <= reached
    for name in reached:
        used = {
            node.attr
            for node in ast.walk(known[name])
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "gdb"
        }
        assert used <= {"post_event"}, name


def test_no_socket_operation_can_block() -> None:
    """A recv without a timeout cannot be interrupted in gdb: the session would be lost."""
    calls = [ast.unparse(node) for node in ast.walk(TREE) if isinstance(node, ast.Call)]
    assert "self.sock.setblocking(False)" in calls
    assert not [call for call in calls if "settimeout" in call or "setblocking(True)" in call or "sendall" in call]
    for node in ast.walk(TREE):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "select.select":
            assert ast.unparse(node.args[3]) in ("SLICE", "0")
