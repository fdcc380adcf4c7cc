"""Which version of MQTT is tried."""

from alicia_mqtt.link import LinkRefused, LinkUnavailable, ProtocolUnsupported, Unanswered
from alicia_mqtt.versions import VersionChoice


def test_auto_begins_with_5():
    assert VersionChoice("auto").take() == "5"


def test_a_refused_version_is_replaced_at_once_and_for_good():
    choice = VersionChoice("auto")
    assert choice.failed(choice.take(), ProtocolUnsupported("no"))
    assert [choice.take(), choice.take()] == ["3.1.1", "3.1.1"]


def test_a_version_without_an_answer_is_replaced_for_one_attempt():
    choice = VersionChoice("auto")
    assert choice.failed(choice.take(), Unanswered("it hung up"))
    assert [choice.take(), choice.take()] == ["3.1.1", "5"]


def test_when_both_versions_fail_there_is_a_pause():
    choice = VersionChoice("auto")
    choice.failed(choice.take(), Unanswered("it hung up"))
    assert not choice.failed(choice.take(), Unanswered("it hung up"))


def test_a_broker_that_gave_up_the_older_version_is_followed():
    choice = VersionChoice("auto")
    choice.failed("5", ProtocolUnsupported("no"))
    choice.failed("3.1.1", ProtocolUnsupported("no longer"))
    assert [choice.take(), choice.take()] == ["5", "5"]


def test_other_troubles_change_nothing():
    choice = VersionChoice("auto")
    for trouble in (LinkUnavailable("away"), LinkRefused("bad password")):
        assert not choice.failed(choice.take(), trouble)
    assert choice.take() == "5"


def test_a_configured_version_stays():
    for wanted in ("5", "3.1.1"):
        choice = VersionChoice(wanted)
        assert not choice.failed(choice.take(), ProtocolUnsupported("no"))
        assert choice.take() == wanted
