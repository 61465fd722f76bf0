"""The bounds of what the server keeps."""

from nats.js.api import DiscardPolicy

from shared import streams
from shared.providers import PROVIDERS


def test_everything_is_bounded_and_fits_into_what_the_server_may_keep() -> None:
    sizes = [stream.max_bytes or 0 for stream in streams.STREAMS] + [streams.RUNS.max_bytes or 0]

    assert all(size > 0 for size in sizes)
    assert sum(sizes) <= streams.MAX_FILE_STORE
    assert all(0 < (stream.max_msg_size or 0) <= streams.MAX_PAYLOAD for stream in streams.STREAMS)


def test_nothing_is_dropped_to_make_room() -> None:
    assert [stream.name for stream in streams.STREAMS if stream.discard != DiscardPolicy.NEW] == []


def test_nothing_that_an_open_run_needs_goes_by_age() -> None:
    """A task that nobody took may go: the log has it, and it is taken back before."""
    assert [stream.name for stream in streams.STREAMS if stream.max_age] == ["TASKS"]


def test_no_provider_shares_its_ids_or_its_room_with_another() -> None:
    taken = [subject for stream in streams.REPORTS.values() for subject in stream.subjects or ()]
    assert len(taken) == len(set(taken)) == 3 * len(PROVIDERS)
    assert all(
        subject.split(".")[2 if "candidate" not in subject else 3] == provider
        for provider, stream in streams.REPORTS.items()
        for subject in stream.subjects or ()
    )


def test_the_log_keeps_one_message_a_subject_and_none_can_be_taken_out() -> None:
    log = streams.RESULTS
    assert (log.max_msgs_per_subject, log.discard_new_per_subject, log.deny_delete, log.deny_purge) == (1, True, True, True)
    assert log.allow_atomic
    assert not log.max_age


def test_ids_are_remembered_longer_than_a_task_may_live() -> None:
    longest_call = 120
    for stream in streams.REPORTS.values():
        assert (stream.duplicate_window or 0) >= streams.MAX_DELIVER * longest_call


def test_each_provider_has_its_queue() -> None:
    names = {consumer.durable_name for consumer in streams.CONSUMERS}
    assert names == {streams.producer_consumer(provider) for provider in PROVIDERS}
    for consumer in streams.CONSUMERS:
        assert (consumer.ack_wait, consumer.max_deliver) == (streams.ACK_WAIT, streams.MAX_DELIVER)
        assert (consumer.max_ack_pending or 0) > 0
