"""What belongs to what in gdb's output: answers to their tokens, stops to their runs, text to its command."""

from __future__ import annotations

import pytest

from vgicd_client.mi_conversation import STOPS_KEPT, Answer, Ask, Conversation, NextStop, Pending
from vgicd_client.mi_errors import BadAnswer, GdbDied, MiError
from vgicd_client.mi_stops import Stop

STOPPED = (
    b'*stopped,reason="signal-received",frame={addr="0x%x",func="idle",args=[]},thread-id="1",stopped-threads="all"\n'
)


@pytest.fixture
def talk() -> Conversation:
    return Conversation()


def ask(talk: Conversation, command: str) -> Pending[Answer]:
    return talk.ask(Ask(command))[0]


def run(talk: Conversation, token: int) -> Answer:
    """Resume the target with the command of that token."""
    running = ask(talk, "-exec-continue")
    talk.feed(b'%d^running\n*running,thread-id="all"\n(gdb) \n' % token)
    return running.outcome()


def stop_after(talk: Conversation, after: int | None) -> Pending[Stop]:
    return talk.expect_stop(NextStop(after, None))


def test_a_command_is_one_line_with_a_token_and_its_thread() -> None:
    assert Ask('-data-evaluate-expression "1"', 3).line(7) == b'7-data-evaluate-expression --thread 3 "1"\n'
    assert Ask("-stack-list-frames", 2).line(8) == b"8-stack-list-frames --thread 2\n"
    with pytest.raises(ValueError, match="one line"):
        Ask("-a\n-b").line(1)


def test_answers_find_their_commands_in_any_order(talk: Conversation) -> None:
    first, second = ask(talk, "-a"), ask(talk, "-b")
    talk.feed(b'2^done,value="b"\n')
    assert (first.settled, second.outcome().payload) == (False, {"value": "b"})
    talk.feed(b'1^done,value="a"\n')
    assert first.outcome().payload == {"value": "a"}


def test_the_stop_of_a_run_is_the_one_after_its_running_and_not_the_stale_one(talk: Conversation) -> None:
    """gdb reports the stop of a connection before ^connected; taking it for the next run's is pygdbmi users' bug."""
    connecting = ask(talk, "-target-select remote x")
    running = ask(talk, "-exec-continue")
    talk.feed(STOPPED % 1 + b"1^connected\n(gdb) \n" + STOPPED % 2 + b"2^running\n" + STOPPED % 3)
    assert connecting.outcome().stops == 1
    assert stop_after(talk, running.outcome().stops).outcome().address == 3


def test_a_stop_in_the_same_piece_as_its_running_is_not_lost(talk: Conversation) -> None:
    running = ask(talk, "-exec-continue")
    talk.feed(b'1^running\n*running,thread-id="all"\n(gdb) \n' + STOPPED % 5)
    assert stop_after(talk, running.outcome().stops).outcome().address == 5
    assert not talk.running


def test_stops_that_nobody_asked_about_are_given_out_in_order_and_once(talk: Conversation) -> None:
    run(talk, 1)
    talk.feed(STOPPED % 1 + STOPPED % 2)
    assert [stop_after(talk, None).outcome().address for _ in range(2)] == [1, 2]
    assert not stop_after(talk, None).settled


def test_stops_that_nobody_takes_do_not_pile_up(talk: Conversation) -> None:
    run(talk, 1)
    for number in range(2 * STOPS_KEPT):
        talk.feed(STOPPED % number)
    assert stop_after(talk, None).outcome().address == STOPS_KEPT


def test_whoever_waits_for_a_stop_is_woken_by_it(talk: Conversation) -> None:
    waiting = stop_after(talk, run(talk, 1).stops)
    woken: list[bool] = []
    waiting.wake = lambda: woken.append(waiting.settled)
    talk.feed(STOPPED % 9)
    assert woken == [True]
    assert waiting.outcome().address == 9


def test_a_target_that_goes_while_it_runs_is_an_error_of_the_wait(talk: Conversation) -> None:
    """As gdb 13.1 says it: a second answer to the command that resumed."""
    waiting = stop_after(talk, run(talk, 1).stops)
    talk.feed(b'=thread-exited,id="1",group-id="i1"\n=thread-group-exited,id="i1"\n')
    assert not waiting.settled
    talk.feed(b'1^error,msg="Remote connection closed"\n(gdb) \n')
    with pytest.raises(MiError, match="Remote connection closed"):
        waiting.outcome()
    assert not talk.running
    with pytest.raises(MiError, match="Remote connection closed"):
        stop_after(talk, None).outcome()


def test_a_closed_connection_may_be_no_more_than_a_line_of_the_log(talk: Conversation) -> None:
    """As gdb 13.1 and 18.1 say it when other commands came since: no answer, no stop, no prompt."""
    waiting = stop_after(talk, run(talk, 1).stops)
    talk.feed(b'=thread-exited,id="1",group-id="i1"\n=thread-group-exited,id="i1"\n&"Remote connection closed\\n"\n')
    with pytest.raises(MiError, match=r"^Remote connection closed$"):
        waiting.outcome()
    assert not talk.running


def test_a_reset_connection_may_be_no_more_than_a_warning(talk: Conversation) -> None:
    """As gdb 18.1 has it, which is of no use afterwards."""
    waiting = stop_after(talk, run(talk, 1).stops)
    talk.feed(b'&"warning: Error detected on fd 9\\n"\n')
    with pytest.raises(MiError, match="Error detected on fd 9"):
        waiting.outcome()


def test_the_end_of_a_program_is_a_stop_and_no_error(talk: Conversation) -> None:
    waiting = stop_after(talk, run(talk, 1).stops)
    talk.feed(b'=thread-group-exited,id="i1",exit-code="0"\n*stopped,reason="exited-normally"\n(gdb) \n')
    assert waiting.outcome().reason == "exited-normally"


def test_a_target_that_goes_without_a_word_is_known_at_the_next_prompt(talk: Conversation) -> None:
    waiting = stop_after(talk, run(talk, 1).stops)
    talk.feed(b'=thread-group-exited,id="i1"\n(gdb) \n')
    with pytest.raises(MiError, match="the target has gone"):
        waiting.outcome()


def test_in_non_stop_the_others_run_on(talk: Conversation) -> None:
    talk.feed(b'=thread-created,id="1",group-id="i1"\n=thread-created,id="2",group-id="i1"\n')
    run(talk, 1)
    talk.feed(b'*stopped,reason="breakpoint-hit",bkptno="1",thread-id="2",stopped-threads=["2"],core="1"\n')
    assert talk.running
    stop = stop_after(talk, None).outcome()
    assert (stop.thread, stop.vcpu, stop.threads) == (2, 1, frozenset({2}))
    talk.feed(b'*stopped,reason="signal-received",thread-id="1",stopped-threads=["1"]\n')
    assert not talk.running


def test_text_belongs_to_the_command_that_was_carried_out(talk: Conversation) -> None:
    talk.feed(b'~"uart irq\\n"\n')
    first, second = ask(talk, "-a"), ask(talk, "-b")
    talk.feed(b'@"one\\n"\n1^done\n(gdb) \n~"two\\n"\n&"warning\\n"\n2^done\n(gdb) \n~"later\\n"\n')
    assert (first.outcome().output, second.outcome().output) == ("one\n", "two\n")
    assert talk.take_output() == "uart irq\nlater\n"
    assert talk.take_output() == ""


def test_a_late_answer_takes_its_text_with_it(talk: Conversation) -> None:
    ask(talk, "-slow")  # whose caller has gone
    second = ask(talk, "-b")
    talk.feed(b'~"of the slow one"\n1^done\n~"mine"\n2^done\n')
    assert second.outcome().output == "mine"


def test_a_refusal_carries_gdbs_words_and_what_explains_them(talk: Conversation) -> None:
    refused = ask(talk, "-info-os x")
    talk.feed(b'&"warning: Wrong osdata type?\\n"\n1^error,msg="Can not fetch data now."\n')
    with pytest.raises(MiError, match=r"^Can not fetch data now; warning: Wrong osdata type[?]$") as error:
        refused.outcome()
    assert error.value.command == "-info-os x"


def test_an_answer_that_is_no_mi_fails_its_command_and_no_other(talk: Conversation) -> None:
    first, second = ask(talk, "-a"), ask(talk, "-b")
    talk.feed(b'1^done,a=["x"\n2^done\n')
    with pytest.raises(BadAnswer, match="']' is missing"):
        first.outcome()
    assert second.outcome().kind == "done"


def test_the_death_of_gdb_reaches_everybody_once(talk: Conversation) -> None:
    answer, stop = ask(talk, "-a"), stop_after(talk, None)
    talk.fail(lambda: GdbDied("gdb", -9, "out of memory\n"))
    talk.fail(lambda: GdbDied("gdb", 0, ""))
    for pending in (answer, stop):
        with pytest.raises(GdbDied, match="killed by SIGKILL; it last said:\nout of memory"):
            pending.outcome()
    with pytest.raises(GdbDied, match="SIGKILL"):
        talk.ask(Ask("-b"))
    with pytest.raises(GdbDied, match="SIGKILL"):
        stop_after(talk, None)


def test_strangers_in_the_stream_change_nothing(talk: Conversation) -> None:
    answer = ask(talk, "-a")
    talk.feed(b'99^done\n^done\n77^error,msg="no"\nhello\n*stopped,frame=[\n+download\n\n1^done\n')
    assert answer.outcome().kind == "done"
    assert talk.stops == 0
