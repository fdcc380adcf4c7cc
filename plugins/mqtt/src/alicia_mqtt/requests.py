"""What tasks have asked of a link and wait for, whatever engine carries it."""

from __future__ import annotations

from collections.abc import Sequence

import trio

from alicia_mqtt.link import LinkUnavailable
from alicia_scheduler.api import AliciaError, MqttOutgoing, Retryable

__all__ = ["Publish", "Request", "Requests"]


class Request:
    """Something that a task asks of the broker, and waits for.

    Attributes:
        abandoned: nobody waits for it any more.
        over: whether there is an outcome.
        error: the outcome; None is success.
    """

    __slots__ = ("_settled", "abandoned", "error", "over")

    def __init__(self) -> None:
        self.abandoned = False
        self.over = False
        self.error: AliciaError | None = None
        self._settled: trio.Event | None = None

    def settle(self, error: AliciaError | None) -> None:
        """Note the outcome, and wake whoever waits for it."""
        self.over = True
        self.error = error
        if self._settled is not None:
            self._settled.set()

    async def wait(self) -> None:
        """Wait for the outcome; no turn for others when there is one already."""
        if not self.over:
            self._settled = trio.Event()
            await self._settled.wait()


class Publish(Request):
    """The request to publish a message at a QoS that the broker offers.

    Attributes:
        since: when it was sent (:func:`trio.current_time`).
    """

    __slots__ = ("message", "qos", "since")

    def __init__(self, message: MqttOutgoing) -> None:
        self.abandoned = self.over = False
        self.error = self._settled = None
        self.message = message
        self.qos = message.qos
        self.since = 0.0


class Requests:
    """The requests of one link; an engine's link is one of these.

    Attributes:
        why: why the link is lost; None while it is not.
        unsettled: see :attr:`alicia_mqtt.link.Link.unsettled`.
    """

    def __init__(self) -> None:
        self.why: LinkUnavailable | None = None
        self.unsettled: tuple[int, ...] = ()
        self._requests: set[Request] = set()
        self._gathered = 0
        self._crowd = False

    def submit(self, publish: Publish) -> None:
        """Take a message to be sent when its turn comes, and settle it some time. Its bytes may
        wait for :meth:`flush`."""
        raise NotImplementedError

    def flush(self) -> None:
        """Hand to the network what was submitted. Cheap when there is nothing."""
        raise NotImplementedError

    async def publish(self, message: MqttOutgoing) -> None:
        """See :meth:`alicia_mqtt.link.Link.publish`.

        What many tasks publish at the same turn of trio goes out with one system call, which also
        wakes the broker once: each sends its bytes only after the others had their turn, and the
        first who comes back sends for all. A lone message that waits for an answer goes at once,
        unless the last one had company.
        """
        publish = Publish(message)
        lone = message.qos and not self._requests and not self._crowd
        self._take(publish)
        try:
            if not lone:
                await trio.lowlevel.checkpoint()
        finally:
            self._hand_over()
        if lone or not publish.over:
            await self.wait(publish)
        elif publish.error is not None:
            raise publish.error

    async def publish_all(self, messages: Sequence[MqttOutgoing]) -> list[AliciaError | None]:
        """See :meth:`alicia_mqtt.link.Link.publish_all`."""
        await trio.lowlevel.checkpoint()
        publishes = [Publish(message) for message in messages]
        for publish in publishes:
            self._take(publish)
        self._hand_over()
        try:
            for publish in publishes:
                await publish.wait()
        except trio.Cancelled:
            for publish in publishes:
                publish.abandoned = True
            raise
        return [publish.error for publish in publishes]

    async def wait(self, request: Request) -> None:
        """Wait for the outcome of a request.

        Raises:
            Retryable, Permanent: it failed; it may be tried again when the link is lost.
        """
        try:
            await trio.lowlevel.checkpoint_if_cancelled()
            await request.wait()
        except trio.Cancelled:
            request.abandoned = True
            raise
        if request.error is not None:
            raise request.error

    def track(self, request: Request) -> bool:
        """Let a request take part; False when the link is lost, which is its outcome then."""
        if self.why is not None:
            request.settle(_lost(self.why))
            return False
        self._requests.add(request)
        return True

    def _take(self, publish: Publish) -> None:
        if self.track(publish):
            self._gathered += 1
            self.submit(publish)

    def _hand_over(self) -> None:
        if self._gathered:
            self._crowd = self._gathered > 1
            self._gathered = 0
            self.flush()

    def settled(self, request: Request, error: AliciaError | None) -> None:
        """Note the outcome of a request. The first word counts."""
        self._requests.discard(request)
        if not request.over:
            request.settle(error)

    def lose(self, why: LinkUnavailable) -> None:
        """Nothing gets through any more: everything under way fails, and may be tried again."""
        self.why = self.why or why
        under_way = list(self._requests)
        self.unsettled += tuple(each.qos for each in under_way if isinstance(each, Publish))
        for request in under_way:
            self.settled(request, _lost(self.why))


def _lost(why: LinkUnavailable) -> Retryable:
    return Retryable(f"the connection to the broker was lost: {why}", error_class="connection")
