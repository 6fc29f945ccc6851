"""Golden traces of Xen's vGIC: variant xen reproduces every observed field, in process and through a daemon.

The same command replays any other file recorded the same way: `vgicctl trace replay FILE...`.
"""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from vgicd_client import connect
from vgicd_client.ctl.main import main
from vgicd_client.ctl.worlds import LocalWorld
from vgicd_client.daemon import PrivateDaemon
from vgicd_client.trace.format import load
from vgicd_client.trace.replay import replay

TRACES = Path(__file__).parent / "traces"
FILES = sorted(TRACES.rglob("*.jsonl.gz"))
EXTRA = os.environ.get("VGICD_TRACES")
"""A folder with further traces, replayed as well."""
DEADLOCK = "q16_list_sort_deadlock.jsonl.gz"

Lines = list[dict[str, Any]]


def lines_of(name: str) -> Lines:
    with gzip.open(TRACES / name, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def doctored(tmp_path: Path, lines: Lines) -> Path:
    path = tmp_path / "doctored.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["trace", "replay", *map(str, arguments)])


def first(lines: Lines, op: str, having: str | None = None) -> dict[str, Any]:
    return next(line for line in lines if line.get("op") == op and (having is None or line.get(having)))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name.removesuffix(".jsonl.gz"))
def test_a_trace_is_reproduced_in_process(path: Path) -> None:
    trace = load(path)
    report = replay(trace, LocalWorld())
    assert report.ops == len(trace.operations)
    excused = 1 if path.name == DEADLOCK else 0
    assert report.compared == report.ops - excused, "only the self-deadlock may be answered otherwise"


@pytest.mark.long
def test_all_traces_are_reproduced_through_one_daemon_by_reset(vgicd_daemon: PrivateDaemon) -> None:
    result = run("--connect", vgicd_daemon.address, *FILES)
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    assert len(lines) == len(FILES)
    for path, line in zip(FILES, lines, strict=True):
        ops = len(lines_of(str(path.relative_to(TRACES)))) - 1
        compared = ops - (path.name == DEADLOCK)
        assert line == f"{path} ops={ops} compared={compared} ok"


@pytest.mark.parametrize("folder", [EXTRA or TRACES])
def test_a_folder_of_traces_is_reproduced(folder: str | Path) -> None:
    """VGICD_TRACES may name another folder than the suite's own."""
    found = sorted(Path(folder).rglob("*.jsonl*"))
    assert found, f"{folder} holds no traces"
    result = run("--in-process", *found)
    assert result.exit_code == 0, result.output


def test_without_an_address_a_private_daemon_replays() -> None:
    path = TRACES / "directed/sgi_single.jsonl.gz"
    result = run(path)
    assert result.exit_code == 0, result.output
    assert result.output.startswith(f"{path} ops=")


def test_the_domain_lacks_only_the_defects_that_the_header_names(tmp_path: Path) -> None:
    lines = lines_of("directed/sgipend_access_sizes.jsonl.gz")
    lines[0]["patched"] = []
    result = run("--in-process", doctored(tmp_path, lines))
    assert result.exit_code == 1
    assert "FATAL_ASSERTION" in result.output, "pristine Xen stops at the first access to CPENDSGIR"


# --- every observed field is compared ------------------------------------------------------------------------------

CHANGES = [
    ("directed/set_pending.jsonl.gz", "gicd_read", "val", lambda v: v ^ 1),
    ("directed/set_pending.jsonl.gz", "gicd_read", "fault", lambda v: not v),
    ("directed/set_pending.jsonl.gz", "gicd_write", "fault", lambda v: not v),
    ("directed/queue_order.jsonl.gz", "line", "kicks", lambda v: [*v, *v]),
    ("directed/queue_order.jsonl.gz", "enter", "lrs", lambda v: v[::-1]),
    ("directed/queue_order.jsonl.gz", "enter", "hcr", lambda v: v ^ 2),
    ("directed/queue_order.jsonl.gz", "enter", "used", lambda v: v + 1),
    ("directed/queue_order.jsonl.gz", "enter", "misr", lambda v: v ^ 1),
    ("directed/queue_order.jsonl.gz", "exit", "lrs", lambda v: [*v[:-1], v[-1] ^ 1]),
    ("directed/queue_order.jsonl.gz", "exit", "eisr", lambda v: v ^ 1),
    ("directed/queue_order.jsonl.gz", "exit", "elrsr", lambda v: v ^ 1),
    ("directed/queue_order.jsonl.gz", "exit", "misr", lambda v: v ^ 1),
    ("directed/queue_order.jsonl.gz", "exit", "apr", lambda v: v ^ 1),
    ("directed/queue_order.jsonl.gz", "exit", "hcr", lambda v: v ^ 1),
    ("directed/queue_order.jsonl.gz", "ack", "iar", lambda v: v ^ 1),
    ("directed/queue_order.jsonl.gz", "state", "running", lambda v: [*v, 7]),
    ("directed/queue_order.jsonl.gz", "state", "ctlr", lambda v: 1 - v),
    ("directed/queue_order.jsonl.gz", "state", "aplist", lambda v: [*v, 9]),
    ("directed/queue_order.jsonl.gz", "state", "spi", lambda v: v[:-1]),
    ("directed/banked_private.jsonl.gz", "state", "priv", lambda v: v[:-1]),
    ("directed/pending_query.jsonl.gz", "pending", "result", lambda v: not v),
    ("directed/evtchn_ppi.jsonl.gz", "evtchn_pending", "result", lambda v: not v),
    ("directed/virq_allocation.jsonl.gz", "alloc_virq", "result", lambda v: v + 1),
    ("directed/virq_allocation.jsonl.gz", "reserve_virq", "result", lambda v: not v),
    ("directed/hw_map_rules.jsonl.gz", "map_hw", "result", lambda v: v - 1),
    ("directed/hw_map_rules.jsonl.gz", "hw_desc", "result", lambda v: 99 if v is None else None),
    ("directed/hw_level_lifecycle.jsonl.gz", "eoi", "deact", lambda v: v + 1),
    ("directed/hw_level_lifecycle.jsonl.gz", "exit", "hw", lambda v: [[v[0][0], v[0][1], not v[0][2]], *v[1:]]),
    ("directed/hw_level_lifecycle.jsonl.gz", "gicd_write", "hw", lambda v: []),
    ("directed/hw_affinity.jsonl.gz", "move_irqs", "hw", lambda v: v[::-1] * 2),
    ("directed/hw_level_lifecycle.jsonl.gz", "hwirq", "kicks", lambda v: []),
]


@pytest.mark.parametrize(("name", "op", "field", "change"), CHANGES, ids=lambda v: v if isinstance(v, str) else "")
def test_a_changed_observation_is_found(tmp_path: Path, name: str, op: str, field: str, change: Any) -> None:
    lines = lines_of(name)
    present_when_empty = field in ("kicks", "hw", "deact", "priv", "spi")
    line = first(lines, op, field if present_when_empty else None)
    before = line[field]
    line[field] = change(before)
    assert line[field] != before, "the test must change something"
    result = run("--in-process", doctored(tmp_path, lines))
    assert result.exit_code == 1, result.output
    assert f"operation {lines.index(line)}: {op}" in result.output
    assert f"{field} differs" in result.output
    assert f"expected {json.dumps(line[field])}" in result.output
    assert f"got      {json.dumps(before)}" in result.output


@pytest.mark.parametrize(
    ("op", "field", "value"), [("exit", "kicks", [0]), ("gicd_write", "hw", [["enable", 40]]), ("ack", "deact", 40)]
)
def test_an_effect_that_did_not_happen_is_missed(tmp_path: Path, op: str, field: str, value: Any) -> None:
    lines = lines_of("directed/queue_order.jsonl.gz")
    line = next(line for line in lines if line.get("op") == op and field not in line)
    line[field] = value
    result = run("--in-process", doctored(tmp_path, lines))
    assert result.exit_code == 1
    assert f"operation {lines.index(line)}: {op}" in result.output


@pytest.mark.parametrize(("field", "value"), [("init_result", -22), ("nr_spis", 128)])
def test_what_the_header_observed_is_compared(tmp_path: Path, field: str, value: int) -> None:
    lines = lines_of("directed/igroupr.jsonl.gz")
    lines[0][field] = value
    result = run("--in-process", doctored(tmp_path, lines[:1]))
    assert result.exit_code == 1
    assert f"creation of the domain: {field} differs" in result.output


def test_an_operation_that_crashed_xen_must_not_succeed(tmp_path: Path) -> None:
    lines = lines_of("quirks/q02_ispendr_sgi_bug_on.jsonl.gz")
    del lines[2:-1]  # without the pending SGI nothing is there to stop at
    result = run("--in-process", doctored(tmp_path, lines))
    assert result.exit_code == 1
    assert 'expected "FATAL_ASSERTION"' in result.output
    assert "BUG_ON(!src)" in result.output


def test_an_operation_that_is_refused_is_a_difference(tmp_path: Path) -> None:
    lines = lines_of("quirks/q02_ispendr_sgi_bug_on.jsonl.gz")
    del lines[-1]["crash"]
    lines[-1] |= {"lrs": [0, 0, 0, 0], "hcr": 0, "used": 0, "misr": 0}
    result = run("--in-process", doctored(tmp_path, lines))
    assert result.exit_code == 1
    assert 'got      "FATAL_ASSERTION"' in result.output


def test_soft_labels_excuse_nothing(tmp_path: Path) -> None:
    lines = lines_of("directed/queue_order.jsonl.gz")
    line = next(line for line in lines if "uie-unneeded" in line.get("soft", ()))
    line["hcr"] ^= 2
    assert run("--in-process", doctored(tmp_path, lines)).exit_code == 1


def test_a_difference_is_decoded(tmp_path: Path) -> None:
    lines = lines_of("directed/queue_order.jsonl.gz")
    line = next(line for line in lines if line.get("op") == "enter" and line["used"])
    word = line["lrs"][0]
    line["lrs"][0] ^= 1 << 29
    result = run("--in-process", doctored(tmp_path, lines))
    shown = [text for text in result.output.splitlines() if "LR0" in text]
    assert len(shown) == 2
    assert f"{word ^ 1 << 29:#010x}" in shown[0]
    assert "pending+active" in shown[0]
    assert f"{word:#010x}: {word & 0x3FF} pending prio" in shown[1]


def test_a_difference_is_found_through_a_daemon_too(tmp_path: Path, vgicd_daemon: PrivateDaemon) -> None:
    lines = lines_of("directed/hw_level_lifecycle.jsonl.gz")
    first(lines, "exit", "hw")["hw"] = []
    result = run("--connect", vgicd_daemon.address, doctored(tmp_path, lines))
    assert result.exit_code == 1
    assert "hw differs" in result.output
    with connect(vgicd_daemon.address) as client:
        client.ping()


def test_replay_stops_at_the_first_difference(tmp_path: Path) -> None:
    good, other = TRACES / "directed/igroupr.jsonl.gz", TRACES / "directed/one_lr.jsonl.gz"
    lines = lines_of("directed/one_lr.jsonl.gz")
    first(lines, "ack")["iar"] ^= 1
    result = run("--in-process", good, doctored(tmp_path, lines), other)
    assert result.exit_code == 1
    assert f"{good} ops=" in result.output
    assert str(other) not in result.output


# --- what is not vgic-trace/1 ---------------------------------------------------------------------------------------


def spoil(lines: Lines, what: str) -> None:
    match what:
        case "operation":
            lines[1]["op"] = "gicd_poke"
        case "operation field":
            lines[1]["colour"] = "green"
        case "header field":
            lines[0]["endian"] = "big"
        case "patch":
            lines[0]["patched"] = ["everything"]
        case "format":
            lines[0]["format"] = "vgic-trace/2"
        case "missing header field":
            del lines[0]["vcpus"]
        case "missing observation":
            del first(lines, "enter")["hcr"]
        case "missing input":
            del first(lines, "gicd_write")["off"]
        case "type":
            first(lines, "gicd_write")["val"] = "1"
        case "bool for number":
            first(lines, "enter")["used"] = True
        case "physical call":
            lines[1]["hw"] = [["explode", 40]]
        case "crash before the end":
            lines[1]["crash"] = "BUG"
        case _:
            raise ValueError(what)


@pytest.mark.parametrize(
    ("what", "sentence"),
    [
        ("operation", "operation 1 is 'gicd_poke'"),
        ("operation field", "unknown field 'colour'"),
        ("header field", "the header has the unknown field 'endian'"),
        ("patch", "unknown patch 'everything'"),
        ("format", "'vgic-trace/2'"),
        ("missing header field", "lacks the field 'vcpus'"),
        ("missing observation", "lacks the field 'hcr'"),
        ("missing input", "lacks the field 'off'"),
        ("type", 'val is "1"'),
        ("bool for number", "used is true"),
        ("physical call", "hw is"),
        ("crash before the end", "not the last one"),
    ],
)
def test_what_is_not_known_is_refused_with_a_sentence(tmp_path: Path, what: str, sentence: str) -> None:
    lines = lines_of("directed/one_lr.jsonl.gz")
    spoil(lines, what)
    result = run("--in-process", doctored(tmp_path, lines))
    assert result.exit_code == 2
    assert sentence in result.output
    assert result.output.startswith(f"vgicctl: {tmp_path}")
    assert len(result.output.splitlines()) == 1


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is empty"),
        (b"{}\n", "says format None"),
        (b"[]\n", "is not a JSON object"),
        (b"nonsense\n", "is not one JSON object"),
        (b'{"format": "vgic-trace/1", "format": "x"}\n', "given twice"),
        (b"\xff\xfe\n", "is not UTF-8"),
        (b"\x1f\x8b\x08garbage", "cannot be read"),
        (gzip.compress(b"x" * 100)[:-12], "cannot be read"),
    ],
    ids=["empty", "object", "array", "nonsense", "repeated", "latin", "gzip", "cut"],
)
def test_a_malformed_file_is_refused_with_a_sentence(tmp_path: Path, content: bytes, sentence: str) -> None:
    path = tmp_path / "trace.jsonl"
    path.write_bytes(content)
    result = run("--in-process", path)
    assert result.exit_code == 2, result.output
    assert sentence in result.output


def test_a_missing_file_is_refused_with_a_sentence(tmp_path: Path) -> None:
    result = run("--in-process", tmp_path / "none.jsonl")
    assert result.exit_code == 2
    assert "cannot be read" in result.output


def test_plain_files_and_renamed_ones_are_read(tmp_path: Path) -> None:
    lines = lines_of("directed/igroupr.jsonl.gz")
    plain = doctored(tmp_path, lines)
    renamed = tmp_path / "renamed.jsonl"
    renamed.write_bytes((TRACES / "directed/igroupr.jsonl.gz").read_bytes())
    assert run("--in-process", plain, renamed).exit_code == 0


def test_the_report_is_json_when_asked_for(tmp_path: Path) -> None:
    lines = lines_of("directed/one_lr.jsonl.gz")
    good = doctored(tmp_path, lines)
    result = run("--json", "--in-process", good)
    report = json.loads(result.output)
    assert report == [
        {
            "file": str(good),
            "ops": len(lines) - 1,
            "compared": len(lines) - 1,
            "fields": report[0]["fields"],
            "ok": True,
        }
    ]
    first(lines, "ack")["iar"] ^= 1
    bad = run("--json", "--in-process", doctored(tmp_path, lines))
    assert bad.exit_code == 1
    assert json.loads(bad.output)[0]["difference"]["field"] == "iar"


def test_in_process_and_connect_exclude_each_other() -> None:
    result = run("--in-process", "--connect", "unix:/nowhere", FILES[0])
    assert result.exit_code == 2
    assert "exclude each other" in result.output
