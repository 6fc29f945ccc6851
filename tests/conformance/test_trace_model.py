"""Variant xen agrees with an independent model of the traces' world, and the model with the traces.

The traces hold what a recorder thought of; random programs meet what nobody thought of.  Each is recorded on the model
and replayed on a domain: every observed field, kicks, physical calls and deactivations in order, and now and then the
white box, are compared after every operation.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from tests.conformance.trace_model import Model, Stopped
from tests.conformance.trace_programs import BUG, WEIGHTS, Programmer
from tests.conformance.trace_state import PRIVATE, RESERVED, SPURIOUS
from vgicd.hw.gich import Gich
from vgicd.vgic.ap_list import ApList
from vgicd.vgic.hw_irq import HwIrqs
from vgicd.vgic.variants import XenBaseline
from vgicd.vgic.vgic import Vgic
from vgicd_client.ctl.worlds import LocalWorld
from vgicd_client.trace.format import OPERATIONS, Trace, load
from vgicd_client.trace.replay import Difference, replay

FILES: Final = sorted((Path(__file__).parent / "traces").rglob("*.jsonl.gz"))
LENGTH: Final = 1_500
SEEDS: Final = range(24)
MANY: Final = 120
"""Seeds in each batch of the long suite, which continue those of the ordinary one."""
LAST: Final = 20
"""Operations shown before a difference."""


# --- the model is of the recorded world ---------------------------------------------------------------------------


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name.removesuffix(".jsonl.gz"))
def test_the_model_answers_as_the_recorded_xen_did(path: Path) -> None:
    trace = load(path)
    header = trace.header
    model = Model(header.vcpus, header.spis, header.lrs, domu=header.domu)
    assert header.init_result or model.end == PRIVATE + header.nr_spis
    for operation in trace.operations:
        if operation.crash is None:
            answer = model.apply(operation.kind, operation.inputs)
            assert answer == operation.expected, f"operation {operation.number}: {operation.kind} {operation.inputs}"
        elif operation.crash.startswith(BUG):
            with pytest.raises(Stopped):
                model.apply(operation.kind, operation.inputs)


# --- the domain is like the model ---------------------------------------------------------------------------------


def judge(*seeds: int) -> None:
    """Replay the programs of `seeds`; fails with all that is needed to look into the first difference."""
    for seed in seeds:
        trace = Programmer(seed).record(LENGTH)
        try:
            replay(trace, LocalWorld())
        except Difference as difference:
            pytest.fail(report(seed, trace, difference), pytrace=False)
        except Exception as error:
            error.add_note(f"seed {seed} of {trace.header}")
            raise


def report(seed: int, trace: Trace, difference: Difference) -> str:
    """The seed, where, what the model and what the domain says, and how it came to that, as lines of a trace."""
    before = trace.operations[max(0, difference.number - LAST) : difference.number]
    history = (f"  {operation.number}: " + line(operation.kind, operation.inputs) for operation in before)
    return "\n".join(
        (
            f"seed {seed} of {trace.header}; expected is the model's answer",
            *difference.lines(),
            f"the last {len(before)}:",
            *history,
        )
    )


def line(kind: str, inputs: Any) -> str:
    return json.dumps({"op": kind, **inputs})


@pytest.mark.parametrize("seed", SEEDS)
def test_a_random_program_runs_as_on_the_model(seed: int) -> None:
    judge(seed)


@pytest.mark.long
@pytest.mark.parametrize("batch", range(8))
def test_many_random_programs_run_as_on_the_model(batch: int) -> None:
    first = SEEDS.stop + batch * MANY
    judge(*range(first, first + MANY))


def test_random_programs_say_everything_and_reach_everything() -> None:
    """Agreement about programs in which nothing happens would be worth nothing."""
    operations = [operation for seed in SEEDS for operation in Programmer(seed).record(LENGTH).operations]
    assert {operation.kind for operation in operations} == set(OPERATIONS) == {*WEIGHTS, "enter", "exit"} - {"switch"}
    observed = [operation.expected for operation in operations]
    calls = {call[0] for seen in observed for call in seen.get("hw", ())}
    assert calls == {"enable", "disable", "affinity", "type", "active", "pending", "sample"}
    delivered = sum(seen.get("iar", SPURIOUS) & SPURIOUS < RESERVED for seen in observed)
    assert delivered > len(observed) // 40, "interrupts are delivered"
    assert sum(seen.get("deact") is not None for seen in observed) > delivered // 40, "and hardware's are ended"
    assert any(seen.get("hcr", 0) & 2 for seen in observed), "list registers overflow"
    assert any(seen.get("hcr", 0) >> 27 for seen in observed), "an EOI misses its list register"
    assert any(operation.crash for operation in operations), "an SGI without a source stops Xen"


def test_a_seed_is_a_program() -> None:
    assert Programmer(3).record(200) == Programmer(3).record(200) != Programmer(4).record(200)


# --- the comparison can fail --------------------------------------------------------------------------------------

DEFECTS: Final[Mapping[str, Callable[[pytest.MonkeyPatch], None]]] = {
    "an overflowing queue keeps its order": lambda patch: patch.setattr(ApList, "sort", lambda _queue: None),
    "an entry is that of variant correct": lambda patch: patch.setattr(XenBaseline, "enter", Vgic.enter),
    "an EOI that finds nothing is not counted": lambda patch: patch.setattr(Gich, "count_eoi", lambda _gich: None),
    "ISPENDR leaves the physical interrupt alone": lambda patch: patch.setattr(
        HwIrqs, "hw_set_pending", lambda _vgic, _irq: None
    ),
    "a move of a vCPU leaves its interrupts behind": lambda patch: patch.setattr(
        HwIrqs, "move_vcpu", lambda _vgic, _vcpu, _pcpu: None
    ),
}


@pytest.mark.sources
@pytest.mark.parametrize("defect", DEFECTS)
def test_a_planted_defect_is_a_difference(defect: str, monkeypatch: pytest.MonkeyPatch) -> None:
    DEFECTS[defect](monkeypatch)
    with pytest.raises(pytest.fail.Exception, match="operation"):
        judge(*SEEDS)


@pytest.mark.sources
def test_a_difference_is_reported_with_all_that_leads_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Gich, "count_eoi", lambda _gich: None)
    with pytest.raises(pytest.fail.Exception) as failure:
        judge(*SEEDS)
    first, where, expected, *_ = lines = str(failure.value).splitlines()
    assert re.match(r"seed \d+ of Header\(vcpus=", first)
    assert re.match(r"operation \d+: (enter|exit) vcpu=\d+: hcr differs", where)
    number = int(where.split()[1].rstrip(":"))
    assert expected.startswith("  expected ")
    assert any(text.startswith("  got ") for text in lines)
    history = lines[lines.index(f"the last {LAST}:") + 1 :]
    assert [int(text.split(":")[0]) for text in history] == list(range(number - LAST + 1, number + 1))
    assert all("op" in json.loads(text.partition(":")[2]) for text in history)
