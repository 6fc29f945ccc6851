"""The compiled core is the sources' own, or is not taken at all."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tools import unavailable
from vgicd import compiled

ROOT = Path(__file__).resolve().parents[2]
LONG = 600.0


def python(code: str, **environment: str) -> str:
    """What a fresh interpreter prints."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout.strip()


def test_every_module_has_a_source_that_belongs_to_the_core() -> None:
    assert {compiled.source(module) for module in compiled.MODULES} <= set(compiled.sources())


def test_changed_sources_have_a_folder_of_their_own(tmp_path: Path) -> None:
    copies = [Path(shutil.copy(path, tmp_path / f"{n}.py")) for n, path in enumerate(compiled.sources())]
    assert compiled.folder(copies) == compiled.folder()
    copies[-1].write_text(copies[-1].read_text() + "\n")
    assert compiled.folder(copies) != compiled.folder()


def test_nothing_is_taken_once_the_core_is_imported() -> None:
    code = "from vgicd import compiled, registers; print(compiled.use(), compiled.in_use(), registers.__file__)"
    assert python(code).split() == ["False", "False", str(compiled.source("vgicd.registers"))]


def test_a_folder_with_a_module_missing_is_not_taken(tmp_path: Path) -> None:
    for module in compiled.MODULES[1:]:
        (tmp_path / f"{module}{compiled.SUFFIX}").touch()
    code = f"from pathlib import Path; from vgicd import compiled; compiled.folder = lambda: Path({str(tmp_path)!r});"
    assert python(f"{code} print(compiled.use())") == "False"
    (tmp_path / f"{compiled.MODULES[0]}{compiled.SUFFIX}").touch()
    assert python(f"{code} print(compiled.use())") == "True"
    assert python(f"{code} print(compiled.use())", **{compiled.PURE: "1"}) == "False"


@pytest.mark.long
def test_the_compiled_core_passes_the_tests_of_the_sources() -> None:
    """Conformance, with all traces, and the properties, on machine code made from the sources as they are."""
    subprocess.run([sys.executable, "scripts/compile"], cwd=ROOT, timeout=LONG, check=True)
    if not compiled.folder().exists():
        unavailable("the core cannot be compiled here; scripts/compile says what is missing")
    arguments = [
        "-q",
        "-m",
        "not long and not sources",
        "-p",
        "no:cacheprovider",
        "tests/conformance",
        "tests/property",
    ]
    code = (
        "import sys; from vgicd import compiled; compiled.use() or sys.exit('not compiled');"
        f"import pytest; sys.exit(pytest.main({arguments}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=LONG, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
