"""Filters, and the buffers behind them."""

import logging

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt.client import topic_matches_sub

from alicia_mqtt.subscriptions import BUFFER, BUFFER_BYTES, Subscription, Subscriptions
from alicia_scheduler.api import MqttMessage, check_filter, topic_matches

LOGGER = logging.getLogger("test")
LEVELS = st.sampled_from(["a", "b", "", "$SYS", "+", "#"])
NAMES = st.lists(st.sampled_from(["a", "b", "", "$SYS"]), min_size=1, max_size=4).map("/".join)
FILTERS = st.lists(LEVELS, min_size=1, max_size=4).map("/".join)


def message(topic, payload=b""):
    return MqttMessage(topic=topic, payload=payload)


@given(FILTERS, NAMES)
def test_matching_agrees_with_an_independent_implementation(topic_filter, topic):
    if topic and topic_filter and check_filter(topic_filter) is None:
        assert topic_matches(topic_filter, topic) == topic_matches_sub(topic_filter, topic)


def test_a_shared_subscription_matches_by_its_filter():
    assert topic_matches("$share/workers/jobs/+", "jobs/1")
    assert not topic_matches("$share/workers/jobs/+", "other/1")


@pytest.mark.parametrize("bad", ["", "a/#/b", "a#", "a+/b", "a\0b", "\ud800", "x" * 65536])
def test_what_is_no_filter_is_refused_with_a_reason(bad):
    assert check_filter(bad)


@pytest.mark.parametrize("good", ["#", "+", "a/+/b", "a/#", "$share/g/a", "/", "ä"])
def test_what_is_a_filter_is_accepted(good):
    assert check_filter(good) is None


async def test_the_oldest_messages_make_room_and_are_counted(caplog):
    subscription = Subscription("a", 1, LOGGER)
    for number in range(BUFFER + 5):
        subscription.put(message("a", b"%d" % number))
    assert (await anext(subscription)).payload == b"5"
    for _ in range(BUFFER - 1):
        last = await anext(subscription)
    assert last.payload == b"%d" % (BUFFER + 4)
    with trio.move_on_after(0.01):
        await anext(subscription)
    assert [record.getMessage() for record in caplog.records] == [
        "the reader of 'a' is too slow; its oldest messages are dropped",
        "the reader of 'a' caught up; 5 messages were dropped",
    ]


async def test_a_reader_that_stops_waiting_loses_nothing():
    subscription = Subscription("a", 1, LOGGER)
    with trio.move_on_after(0.01):
        await anext(subscription)
    subscription.put(message("a", b"1"))
    with trio.move_on_after(0):
        await anext(subscription)
    assert (await anext(subscription)).payload == b"1"


async def test_a_numbered_message_reaches_the_readers_of_its_filter_only():
    subscriptions = Subscriptions()
    wide, narrow = Subscription("a/#", 1, LOGGER), Subscription("a/b", 1, LOGGER)
    subscriptions.add(wide)
    subscriptions.add(narrow)
    number = subscriptions.terms("a/b").number
    subscriptions.deliver(message("a/b", b"1"), (number,))
    subscriptions.deliver(message("a/b", b"2"), ())
    assert (await anext(narrow)).payload == b"1"
    assert (await anext(narrow)).payload == b"2"
    assert (await anext(wide)).payload == b"2"


def test_a_filter_is_asked_for_at_its_readers_highest_qos():
    subscriptions = Subscriptions()
    readers = [Subscription("a", qos, LOGGER) for qos in (0, 2, 1)]
    for reader in readers:
        subscriptions.add(reader)
    assert subscriptions.terms("a").qos == 2
    assert not subscriptions.remove(readers[1])
    assert subscriptions.terms("a").qos == 1


def test_the_last_reader_takes_the_filter_along():
    subscriptions = Subscriptions()
    first, second = Subscription("a", 1, LOGGER), Subscription("a", 1, LOGGER)
    subscriptions.add(first)
    subscriptions.add(second)
    assert [subscriptions.remove(first), subscriptions.remove(second)] == [False, True]
    assert subscriptions.filters() == []
    assert subscriptions.terms("a") is None


async def test_a_buffer_is_bounded_in_bytes_and_keeps_the_newest(caplog):
    subscription = Subscription("in/#", 1, LOGGER)
    for number in range(20):
        subscription.put(message(f"in/{number}", b"x" * (BUFFER_BYTES // 4)))
    kept = [(await anext(subscription)).topic for _ in range(4)]
    assert kept == ["in/16", "in/17", "in/18", "in/19"]
    subscription.put(message("in/long", b"x" * (2 * BUFFER_BYTES)))
    assert (await anext(subscription)).topic == "in/long"
    assert "oldest messages are dropped" in caplog.text
