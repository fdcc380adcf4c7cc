"""The agenda: a window over what comes next."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from alicia_scheduler.api.store import Due
from alicia_scheduler.kernel.agenda import Agenda
from alicia_scheduler.testing.clock import START


def at(seconds):
    return START + timedelta(seconds=seconds)


def whole(agenda, *entries):
    """An agenda that knows it has everything."""
    agenda.begin_refill()
    agenda.end_refill(entries)
    return agenda


def ids(entries):
    return [entry.event_id for entry in entries]


def test_entries_come_out_when_they_are_due_and_earliest_first():
    agenda = whole(Agenda(), Due(at(1), "a"), Due(at(3), "c"), Due(at(2), "b"))
    assert ids(agenda.pop_due(at(2), 10)) == ["a", "b"]
    assert agenda.next_at() == at(3)


def test_entries_due_at_one_instant_come_out_in_the_order_they_went_in():
    agenda = whole(Agenda(), Due(at(1), "b"), Due(at(1), "a"))
    assert ids(agenda.pop_due(at(1), 10)) == ["b", "a"]


def test_putting_an_event_again_moves_it():
    agenda = whole(Agenda(), Due(at(1), "a"))
    agenda.put(Due(at(5), "a"))
    assert agenda.pop_due(at(4), 10) == []
    assert ids(agenda.pop_due(at(5), 10)) == ["a"]


def test_a_retry_and_the_slot_of_its_event_stand_side_by_side():
    agenda = whole(Agenda(), Due(at(1), "a"), Due(at(2), "a", "execution"))
    assert len(agenda.pop_due(at(2), 10)) == 2


def test_a_discarded_entry_does_not_come_out():
    agenda = whole(Agenda(), Due(at(1), "a"))
    agenda.discard("a")
    assert agenda.pop_due(at(1), 10) == []
    assert agenda.next_at() is None


def test_what_lies_beyond_the_horizon_is_left_to_the_store():
    agenda = Agenda(window=2)
    whole(agenda, Due(at(1), "a"), Due(at(2), "b"))
    agenda.put(Due(at(3), "c"))
    assert len(agenda) == 2
    agenda.pop_due(at(2), 10)
    assert agenda.exhausted
    assert agenda.begin_refill() == Due(at(2), "b")


def test_an_entry_within_the_horizon_is_taken_in():
    agenda = Agenda(window=2)
    whole(agenda, Due(at(1), "a"), Due(at(5), "b"))
    agenda.put(Due(at(3), "c"))
    assert ids(agenda.pop_due(at(5), 10)) == ["a", "c", "b"]


def test_a_put_during_a_refill_stands_against_the_older_page():
    agenda = Agenda(window=2)
    agenda.begin_refill()
    agenda.put(Due(at(9), "a"))
    agenda.end_refill([Due(at(1), "a")])
    assert agenda.next_at() == at(9)


def test_a_discard_during_a_refill_stands_against_the_older_page():
    agenda = Agenda(window=2)
    agenda.begin_refill()
    agenda.discard("a")
    agenda.end_refill([Due(at(1), "a")])
    assert agenda.next_at() is None


def test_an_earlier_entry_wakes_whoever_waits():
    agenda = whole(Agenda(), Due(at(5), "a"))
    agenda.put(Due(at(9), "b"))
    assert not agenda.changed.is_set()
    agenda.put(Due(at(1), "c"))
    assert agenda.changed.is_set()


def test_no_more_than_the_limit_come_out_at_once():
    agenda = whole(Agenda(), *(Due(at(1), str(number)) for number in range(5)))
    assert len(agenda.pop_due(at(1), 3)) == 3
    assert len(agenda.pop_due(at(1), 3)) == 2


@given(
    st.dictionaries(st.sampled_from("abcdefgh"), st.integers(0, 50), min_size=1),
    st.lists(st.tuples(st.sampled_from("abcdefgh"), st.integers(0, 50)), max_size=20),
    st.integers(1, 9),
)
def test_every_entry_comes_out_once_at_its_last_place_whatever_the_window(stored, moves, window):
    """The store behind the agenda is a dict here; puts go to both, as commits and puts do."""
    agenda = Agenda(window=window)

    def refill():
        after = agenda.begin_refill()
        place = (after.at, after.event_id) if after else (at(-1), "")
        page = sorted((at(seconds), key) for key, seconds in stored.items())
        page = [entry for entry in page if entry > place][:window]
        agenda.end_refill([Due(instant, key) for instant, key in page])

    refill()
    for key, seconds in moves:
        stored[key] = seconds
        agenda.put(Due(at(seconds), key))
    seen = []
    for _ in range(100):
        if agenda.exhausted:
            refill()
        for entry in agenda.pop_due(at(100), 3):
            if stored.get(entry.event_id) == (entry.at - START).total_seconds():
                seen.append(entry.event_id)
                del stored[entry.event_id]
    assert not stored
    assert len(seen) == len(set(seen))


def test_entries_that_were_moved_or_discarded_do_not_pile_up():
    agenda = whole(Agenda(), Due(at(1), "a"))
    for second in range(100_000):
        agenda.put(Due(at(10_000_000 + second), "moved"))
        agenda.put(Due(at(20_000_000), f"passing {second}"))
        agenda.discard(f"passing {second}")
    assert len(agenda._heap) < 5000
    assert ids(agenda.pop_due(at(30_000_000), 10)) == ["a", "moved"]
