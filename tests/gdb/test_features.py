"""What the endpoint promises, each with the tests that show it: nothing is claimed that no test shows."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Final

import pytest

HERE: Final = Path(__file__).parent
TESTS: Final = HERE.parent

SHOWN: Final = {
    "target remote alone": ["gdb/test_transcripts.py::test_target_remote_is_enough"],
    "info threads": ["gdb/test_transcripts.py::test_info_threads_shows_vcpus_and_their_state"],
    "p gich.LR[0]": ["gdb/test_transcripts.py::test_list_registers_are_structures"],
    "set var gich.LR[1]": [
        "gdb/test_transcripts.py::test_a_list_register_is_written_in_explicit_mode_with_the_vcpu_inside",
        "gdb/test_transcripts.py::test_a_list_register_is_not_written_in_automatic_mode",
    ],
    "watch GICD_ISENABLER1": ["gdb/test_transcripts.py::test_watch_names_the_vcpu_that_wrote"],
    "break irq42 if $_thread == 2": ["gdb/test_transcripts.py::test_break_on_an_interrupt_of_one_vcpu"],
    "dprintf irq33_uart0": ["gdb/test_transcripts.py::test_dprintf_prints_while_the_guest_runs"],
    "bt": ["gdb/test_transcripts.py::test_backtrace_is_the_nesting_of_active_interrupts"],
    "info os irqs": ["gdb/test_transcripts.py::test_info_os_prints_tables"],
    "must 1: server, codec, no-ack mode": [
        "gdb/test_transcripts.py::test_target_remote_is_enough",
        "gdb/test_lldb.py::test_lldb_connects_reads_and_detaches",
        "sockets/test_gdb_listener.py",
        "unit/gdbstub/test_packets.py",
    ],
    "must 2: architectures": [
        "gdb/test_harness.py::test_every_gdb_starts_and_evaluates",
        "gdb/test_live.py::test_gdbs_of_the_other_kind_say_what_to_do",
    ],
    "must 3: symbol file": [
        "gdb/test_symbol_file.py",
        "gdb/test_transcripts.py::test_registers_are_typed",
    ],
    "must 4: memory": [
        "gdb/test_widths.py::test_every_read_has_its_width_and_none_a_side_effect",
        "gdb/test_widths.py::test_writes_have_their_width",
        "gdb/test_widths.py::test_looking_at_everything_everywhere_changes_nothing",
        "gdb/test_widths.py::test_banked_registers_follow_the_selected_thread",
        "gdb/test_widths.py::test_what_is_not_there_is_an_error_and_no_access",
        "gdb/test_transcripts.py::test_gic_writes_are_the_guests_own",
    ],
    "must 5: threads and vendor registers": [
        "gdb/test_transcripts.py::test_info_threads_shows_vcpus_and_their_state",
        "gdb/test_transcripts.py::test_vendor_registers",
    ],
    "must 6: break and watch": [
        "gdb/test_transcripts.py::test_watch_names_the_vcpu_that_wrote",
        "gdb/test_run_control.py::test_rwatch_and_awatch",
        "gdb/test_run_control.py::test_whole_blocks_are_watched_and_the_real_address_named",
        "gdb/test_live.py::test_a_watch_in_one_gdb_is_hit_by_a_write_of_another",
        "gdb/test_run_control.py::test_a_breakpoint_where_nothing_is_writes_nothing",
    ],
    "must 7: thread discipline": [
        "gdb/test_run_control.py::test_stepping_off_a_breakpoint_answers_for_the_thread_that_was_stepped",
        "gdb/test_run_control.py::test_a_breakpoint_of_another_thread_does_not_stop",
        "gdb/test_run_control.py::test_a_watch_is_hit_after_the_access_whatever_the_architecture",
        "gdb/test_run_control.py::test_one_step_does_not_lose_the_guest",
        "gdb/test_run_control.py::test_ctrl_c_stops_and_continues",
        "gdb/test_run_control.py::test_detach_leaves_the_guest_running",
        "gdb/test_run_control.py::test_however_gdb_leaves_the_guest_runs_on",
        "gdb/test_live.py::test_non_stop_connects_without_disturbing_anybody",
        "gdb/test_live.py::test_each_of_two_gdbs_has_its_own_thread_and_breakpoints",
        "gdb/test_harness.py::test_an_internal_error_fails_the_test",
    ],
    "must 8: monitor": [
        "gdb/test_monitor.py",
        "gdb/test_live.py::test_what_is_refused_is_said_in_a_sentence",
    ],
    "must 9: extension": ["gdb/test_extension.py", "gdb/test_extension_mi.py", "gdb/test_extension_terminal.py"],
    "must 10: clients for scripts, launcher": [
        "gdb/test_gdbmi.py",
        "gdb/test_gdbmi_sync.py",
        "gdb/test_extension_launcher.py",
    ],
    "should 11: non-stop": [
        "gdb/test_live.py::test_non_stop_looks_and_writes_while_everything_runs",
        "gdb/test_live.py::test_non_stop_stops_only_the_vcpu_that_touched_it",
        "gdb/test_live.py::test_non_stop_interrupts_and_continues_one_vcpu",
    ],
    "should 12: tables": ["gdb/test_transcripts.py::test_info_os_prints_tables"],
    "should 13: edges": [
        "gdb/test_run_control.py::test_every_edge_of_an_interrupts_life_is_a_breakpoint",
        "gdb/test_run_control.py::test_maintenance_and_kick_are_breakpoints",
        "gdb/test_run_control.py::test_hit_counts_ignore_counts_and_commands",
        "gdb/test_run_control.py::test_finish_waits_until_the_handler_has_ended",
        "gdb/test_run_control.py::test_rbreak_takes_a_pattern_of_edges",
    ],
    "should 14: live trace": ["gdb/test_live.py::test_trace_prints_while_the_guest_runs"],
    "should 15: freeze and watchdog": [
        "gdb/test_live.py::test_freeze_off_lets_the_guest_run_while_stopped",
        "gdb/test_killed.py",
        "gdb/test_guest.py::test_a_guest_goes_on_when_gdb_is_killed_in_the_middle",
    ],
    "should 16: alias windows": [
        "gdb/test_widths.py::test_banked_registers_follow_the_selected_thread",
        "gdb/test_widths.py::test_a_read_in_the_live_window_is_the_guests",
        "gdb/test_run_control.py::test_a_watch_of_one_vcpus_window_is_of_that_vcpu",
    ],
    "should 17: vgic-state": ["gdb/test_monitor.py"],
    "should 18: SVD": ["unit/export/test_svd.py"],
    "should 20: LLDB": ["gdb/test_lldb.py::test_lldb_connects_reads_and_detaches"],
    "should 21: minimal": [
        "gdb/test_live.py::test_minimal_offers_what_qemu_does",
        "gdb/test_live.py::test_one_gdb_steps_a_guest_on_qemu_and_looks_at_a_minimal_vgicd",
    ],
    "a guest under gdb": ["gdb/test_guest.py::test_a_guest_is_watched_broken_into_and_let_go"],
}


@pytest.mark.parametrize("promise", SHOWN)
def test_what_is_promised_is_shown_by_tests_that_exist(promise: str) -> None:
    assert SHOWN[promise]
    for name in SHOWN[promise]:
        file, _, test = name.partition("::")
        path = TESTS / file
        assert path.is_file(), name
        found = [
            node.name
            for node in ast.parse(path.read_text()).body
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        ]
        assert any(function.startswith("test_") for function in found), name
        assert not test or test in found, name


def test_every_item_that_the_endpoint_is_to_have_is_in_the_table() -> None:
    numbered = {promise.partition(":")[0] for promise in SHOWN if ":" in promise}
    assert numbered == {f"must {n}" for n in range(1, 11)} | {f"should {n}" for n in (*range(11, 19), 20, 21)}


def test_every_test_of_run_control_is_in_the_table_or_beside_it() -> None:
    """What is new there is put into the table by whoever writes it."""
    listed = {name for names in SHOWN.values() for name in names}
    body = ast.parse((HERE / "test_run_control.py").read_text()).body
    tests = [node.name for node in body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")]
    assert [test for test in tests if f"gdb/test_run_control.py::{test}" not in listed] == []
