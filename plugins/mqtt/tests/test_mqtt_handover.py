"""Handing items between the loops of two threads."""

import threading

import trio

from alicia_mqtt.handover import Handover


def test_items_posted_before_the_wake_up_share_it():
    wakes, received = [], []
    street = Handover(wakes.append, received.append)
    for item in range(5):
        street.post(item)
    assert len(wakes) == 1
    wakes[0]()
    assert received == [0, 1, 2, 3, 4]


def test_an_item_posted_after_it_wakes_again():
    wakes, received = [], []
    street = Handover(wakes.append, received.append)
    street.post(1)
    wakes.pop()()
    street.post(2)
    wakes.pop()()
    assert received == [1, 2]


def test_an_item_posted_during_it_is_not_forgotten():
    wakes, received = [], []

    def receive(item):
        received.append(item)
        if item < 3:
            street.post(item + 1)

    street = Handover(wakes.append, receive)
    street.post(1)
    while wakes:
        wakes.pop()()
    assert received == [1, 2, 3]


def test_beyond_the_limit_the_oldest_is_dropped_and_counted():
    wakes, received = [], []
    street = Handover(wakes.append, received.append, limit=3)
    for item in range(5):
        street.post(item)
    wakes[0]()
    assert received == [2, 3, 4]
    assert street.dropped == 2


async def test_nothing_is_lost_or_reordered_between_two_real_threads():
    token = trio.lowlevel.current_trio_token()
    received: list[int] = []
    street = Handover(token.run_sync_soon, received.append)

    def post_all():
        for item in range(20_000):
            street.post(item)

    thread = threading.Thread(target=post_all)
    thread.start()
    with trio.fail_after(60):
        while len(received) < 20_000:
            await trio.sleep(0)
    thread.join()
    assert received == list(range(20_000))
