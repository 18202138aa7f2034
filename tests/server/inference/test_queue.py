"""Who runs with whom."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from tidegate_server.inference.queue import InferenceQueue, QueuedBytes, QueuedRequest, QueueLimits, total_rows
from tidegate_server.protocol.request import InferRequest

NOTHING = InferRequest({}, ())


def waiting(rows: int = 1, batch_key: Any = "a", size: int = 10) -> QueuedRequest:
    return QueuedRequest(NOTHING, ("y",), rows, batch_key, size, arrived=0.0, deadline=1.0, done=lambda *_: None)


def queue_of(*items: QueuedRequest) -> InferenceQueue:
    queue = InferenceQueue(QueueLimits(requests=100, bytes=10_000))
    assert all(queue.offer(item) for item in items)
    return queue


@pytest.mark.parametrize(
    ("items", "batches"),
    [
        pytest.param([(1, "a"), (1, "a"), (1, "a")], [[0, 1, 2]], id="all of one group run together"),
        pytest.param([(1, "a"), (1, "b"), (1, "a")], [[0, 2], [1]], id="another group waits for its own run"),
        pytest.param([(3, "a"), (2, "a"), (1, "a")], [[0, 2], [1]], id="rows are counted, and a small one slips in"),
        pytest.param([(9, "a"), (1, "a")], [[0], [1]], id="more rows than a batch holds run alone"),
        pytest.param([(1, None), (1, None)], [[0], [1]], id="without a group everyone runs alone"),
    ],
)
def test_the_oldest_leads_the_batch(items: list[tuple[int, Any]], batches: list[list[int]]) -> None:
    everyone = [waiting(rows, batch_key) for rows, batch_key in items]
    queue = queue_of(*everyone)
    taken = []
    while len(queue):
        taken.append([everyone.index(item) for item in queue.take(4)])
    assert (taken, queue.held.count) == (batches, 0)


@pytest.mark.parametrize(
    ("limits", "accepted"),
    [
        pytest.param(QueueLimits(requests=2, bytes=1000), [True, True, False], id="requests"),
        pytest.param(QueueLimits(requests=9, bytes=25), [True, True, False], id="bytes"),
        pytest.param(QueueLimits(requests=9, bytes=5), [True, False, False], id="one that is too large alone may wait"),
    ],
)
def test_the_queue_is_bounded(limits: QueueLimits, accepted: list[bool]) -> None:
    queue = InferenceQueue(limits)
    assert [queue.offer(waiting()) for _ in range(3)] == accepted


def test_parts_of_what_has_a_place_take_none() -> None:
    queue = InferenceQueue(QueueLimits(requests=1, bytes=100))
    parts = [replace(waiting(size=0, batch_key=None), is_part=True) for _ in range(4)]
    for part in parts:
        queue.put(part)
    assert queue.offer(waiting())
    assert not queue.offer(waiting())
    queue.remove(parts[3])
    assert [queue.take(8)[0] for _ in parts[:3]] == parts[:3]
    assert not queue.has_room(10)
    queue.take(8)
    assert queue.has_room(10)


def test_two_queues_can_share_the_bound_on_bytes() -> None:
    held, limits = QueuedBytes(), QueueLimits(requests=9, bytes=25)
    small, large = InferenceQueue(limits, held), InferenceQueue(limits, held)
    assert [small.offer(waiting()), large.offer(waiting()), small.offer(waiting())] == [True, True, False]
    large.take(1)
    assert (small.offer(waiting()), held.count) == (True, 20)


def test_who_gives_up_frees_his_place() -> None:
    first, second = waiting(), waiting()
    queue = queue_of(first, second)
    queue.remove(first)
    queue.remove(first)
    assert (len(queue), queue.held.count, queue.oldest) == (1, 10, second)


@pytest.mark.parametrize(
    ("items", "full"),
    [
        pytest.param([(4, "a")], True, id="as many rows as fit"),
        pytest.param([(1, "a"), (3, "b")], False, id="others don't count"),
        pytest.param([(1, None)], True, id="nobody can join"),
    ],
)
def test_a_full_batch_waits_for_nobody(items: list[tuple[int, Any]], full: bool) -> None:
    assert queue_of(*(waiting(rows, batch_key) for rows, batch_key in items)).has_full_batch(4) is full


@given(
    some.lists(some.tuples(some.integers(1, 6), some.sampled_from(["a", "b", None])), max_size=40), some.integers(1, 8)
)
def test_everyone_is_served_once_and_no_batch_is_too_large(items: list[tuple[int, Any]], most: int) -> None:
    everyone = [waiting(rows, batch_key) for rows, batch_key in items]
    queue = queue_of(*everyone)
    served: list[QueuedRequest] = []
    while len(queue):
        oldest = queue.oldest
        batch = queue.take(most)
        assert batch[0] is oldest
        assert len(batch) == 1 or (total_rows(batch) <= most and len({item.batch_key for item in batch}) == 1)
        served += batch
    assert sorted(map(id, served)) == sorted(map(id, everyone))
    assert queue.held.count == 0


@pytest.mark.parametrize(
    ("widths", "most_padding", "batches"),
    [
        pytest.param([10, 30, 11, 9, 29], 100, [[10, 11, 9], [30, 29]], id="those about as long as the oldest"),
        pytest.param([10, 30, 11, 9, 29], 3, [[10, 11, 9], [30, 29]], id="none is lengthened by more than it's worth"),
        pytest.param([10, 12, 20], 3, [[10, 12], [20]], id="nor are the others for one that is longer"),
        pytest.param([10, 12, 10], 1, [[10, 10], [12]], id="not even by two"),
        pytest.param([5, 5, 5, 5], 0, [[5, 5, 5], [5]], id="no more rows than a run takes"),
    ],
)
def test_texts_share_a_run_with_those_about_as_long(
    widths: list[int], most_padding: int, batches: list[list[int]]
) -> None:
    queue = queue_of(*[replace(waiting(batch_key=32), width=width) for width in widths])
    taken = []
    while len(queue):
        taken.append([item.width for item in queue.take(3, most_padding)])
    assert (taken, queue.held.count, queue.rows) == (batches, 0, 0)


@given(
    lengths=some.lists(some.tuples(some.sampled_from([32, 64]), some.integers(1, 32), some.integers(1, 3)), max_size=20)
)
def test_each_text_is_taken_once_and_the_oldest_leads(lengths: list[tuple[int, int, int]]) -> None:
    items = [replace(waiting(rows, key), width=width) for key, width, rows in lengths]
    queue, left = queue_of(*items), list(items)
    while len(queue):
        batch = queue.take(4, 20)
        assert batch[0] is left[0]
        assert len({item.batch_key for item in batch}) == 1
        assert len(batch) == 1 or total_rows(batch) <= 4
        left = [item for item in left if not any(item is one for one in batch)]
    assert not left
