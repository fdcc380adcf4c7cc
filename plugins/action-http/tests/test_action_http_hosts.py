"""Whom events may ask: by name, by address, as the host and the event say it."""

import contextlib
import ipaddress
import socket

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from alicia_action_http import HttpRequestConfig, HttpSettings
from alicia_action_http.action import HttpRequest
from alicia_action_http.addresses import forms
from alicia_action_http.config import check_url
from alicia_action_http.faults import explained
from alicia_action_http.hosts import Lists, Policy
from alicia_action_http.masking import Mask
from alicia_action_http.network import interleaved
from alicia_action_http.request import request_of
from alicia_action_http.settings import check_request
from alicia_scheduler.api import ConfigError, Permanent, Retryable
from alicia_scheduler.kernel.ledger import new_execution
from alicia_scheduler.testing.clock import START
from alicia_scheduler.testing.context import TestContext
from alicia_scheduler.testing.kernel import make_event
from alicia_scheduler.testing.web import answer

EXECUTION = new_execution(make_event(), START)
LINK_LOCAL = "169.254.169.254"


async def failure(action, execution, expected, **fields):
    with pytest.raises(expected) as raised:
        await action.run(HttpRequestConfig(**fields), execution)
    return raised.value


@pytest.fixture
def named(monkeypatch):
    """Names that lead where a test says."""

    def lead(**leads):
        async def getaddrinfo(host, port, **_):
            return [
                (socket.AF_INET6 if ":" in address else socket.AF_INET, 1, 6, "", (address, port))
                for address in leads[host.replace(".", "_")]
            ]

        monkeypatch.setattr(trio.socket, "getaddrinfo", getaddrinfo)

    return lead


def allowed(host, allow=(), deny=()):
    return Policy((Lists.of("the event's", allow, deny),)).refuses(host) is None


# -- the lists -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("example.org", True),
        ("a.Example.org.", True),
        ("b.example.org", False),
        ("b.org", False),
        ("xn--mnchen-3ya.de", True),
        ("münchen.de", True),
    ],
)
def test_names_are_allowed_and_denied_by_patterns(host, expected):
    allow = ("example.org", "*.example.org", "MÜNCHEN.de")
    assert allowed(host, allow, ("B.Example.org",)) is expected


@pytest.mark.parametrize(
    ("host", "expected"),
    [("10.1.2.3", True), ("[::ffff:10.1.2.3]", True), ("10.9.0.1", False), ("11.0.0.1", False)],
)
def test_addresses_are_allowed_and_denied_by_ranges(host, expected):
    assert allowed(host, ("10.0.0.0/8",), ("10.9.0.0/16", "fe00::/8")) is expected


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "::7f00:1"]
)
def test_a_denied_range_holds_in_every_form_of_an_address(host):
    assert not allowed(host, (), ("127.0.0.0/8",))


@pytest.mark.parametrize("key", ["allow_hosts", "deny_hosts"])
@pytest.mark.parametrize(
    "entry",
    [
        "10.0.0.0/33",
        "10.0.0.1/8",
        "10.0.0.0/x",
        "192.168.*",
        "http://a",
        "a:80",
        "a b",
        "",
        "fe::g",
    ],
)
@pytest.mark.parametrize("kind", [HttpSettings, lambda **f: HttpRequestConfig(url="http://a", **f)])
def test_a_wrong_entry_is_named(kind, entry, key):
    with pytest.raises(ConfigError) as raised:
        kind(**{key: ("*.example.org", entry)})
    assert raised.value.path == (key, 1)
    assert raised.value.hint


async def test_a_denied_range_is_held_against_what_a_name_leads_to(serve, action, execution):
    server = serve(answer())
    url = f"http://localhost:{server.port}/"
    error = await failure(action, execution, Permanent, url=url, deny_hosts=("127.0.0.0/8", "::1"))
    assert (error.error_class, server.heads) == ("forbidden", [])


async def test_an_allowed_range_is_held_against_what_a_name_leads_to(
    serve, action, execution, named
):
    server = serve(answer(body=b"ok"))
    named(inside=["127.0.0.1"], outside=["127.1.0.1"])
    fields = {"allow_hosts": ("127.0.0.0/16",)}
    config = HttpRequestConfig(url=f"http://inside:{server.port}/", **fields)
    assert (await action.run(config, execution))["body"] == "ok"
    url = f"http://outside:{server.port}/"
    error = await failure(action, execution, Permanent, url=url, **fields)
    assert error.error_class == "forbidden"


async def test_a_connection_of_one_event_is_not_lent_to_another_that_may_not_have_it(
    serve, action, execution
):
    server = serve(answer())
    url = f"http://localhost:{server.port}/"
    await action.run(HttpRequestConfig(url=url), execution)
    await failure(action, execution, Permanent, url=url, deny_hosts=("127.0.0.0/8", "::1"))


# -- what no host is -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host",
    [
        LINK_LOCAL,
        "[::ffff:169.254.169.254]",
        "[::ffff:0:169.254.169.254]",
        "[::169.254.169.254]",
        "[64:ff9b::a9fe:a9fe]",
        "[64:ff9b:1::a9fe:a9fe]",
        "[64:ff9b:1:a9fe:a9:fe00::]",
        "[2002:a9fe:a9fe::1]",
        "[fe80::5efe:a9fe:a9fe]",
        "[2001:db8::5efe:a9fe:a9fe]",
        "[2001:0:a9fe:a9fe::]",
        "0.0.0.0",
        "[::]",
        "[::ffff:0.0.0.0]",
        "224.0.0.1",
        "255.255.255.255",
        "100.100.100.200",
        "[fd00:ec2::254]",
        "metadata.google.internal",
        "METADATA.Google.Internal.",
        "instance-data",
    ],
)
async def test_what_no_event_may_ask_is_not_asked(host, action, execution):
    error = await failure(action, execution, Permanent, url=f"http://{host}/")
    assert error.error_class == "forbidden"


@pytest.mark.parametrize("host", ["::1", "127.0.0.1", "10.0.0.1", "fd00::1", "2001:db8::1"])
def test_other_addresses_are_allowed(host):
    assert Policy().refuses(host) is None


@pytest.mark.parametrize("host", ["2852039166", "0xa9fea9fe", "169.16689662"])
async def test_odd_spellings_of_an_address_do_not_help(host, action, execution):
    error = await failure(action, execution, Permanent, url=f"http://{host}/")
    assert error.error_class == "forbidden"


@given(st.ip_addresses(v=4))
def test_a_translated_address_has_the_form_of_the_original(address):
    number = int(address)
    for prefix in ("::ffff:0:0", "64:ff9b::"):
        translated = ipaddress.IPv6Address(int(ipaddress.IPv6Address(prefix)) | number)
        assert address in forms(translated)


# -- several addresses -----------------------------------------------------------------------------


async def test_a_refused_address_does_not_stop_an_allowed_one_of_the_same_name(
    serve, action, execution, named
):
    server = serve(answer(body=b"ok"))
    named(mixed=[LINK_LOCAL, "127.0.0.1"])
    config = HttpRequestConfig(url=f"http://mixed:{server.port}/")
    assert (await action.run(config, execution))["body"] == "ok"


async def test_a_dead_address_does_not_use_up_the_time(serve, action, execution, named):
    server = serve(answer(body=b"ok"))
    named(half=["127.0.0.2", "127.0.0.1"])
    with socket.socket() as dead, socket.socket() as first, socket.socket() as second:
        # A listener whose queue is full answers nothing.
        dead.bind(("127.0.0.2", server.port))
        dead.listen(0)
        for filler in (first, second):
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.2", server.port))
        await trio.sleep(0.05)
        config = HttpRequestConfig(url=f"http://half:{server.port}/", connect_timeout=2)
        assert (await action.run(config, execution))["body"] == "ok"


async def test_a_closed_address_makes_way_for_the_next_at_once(serve, action, execution, named):
    server = serve(answer(body=b"ok"))
    named(half=["127.0.0.2", "127.0.0.3", "127.0.0.1"])
    config = HttpRequestConfig(url=f"http://half:{server.port}/", connect_timeout=0.2)
    assert (await action.run(config, execution))["body"] == "ok"


async def test_when_all_addresses_fail_it_is_tried_again(serve, action, execution, named):
    server = serve(answer())
    named(none=["127.0.0.2", "127.0.0.3"])
    error = await failure(action, execution, Retryable, url=f"http://none:{server.port}/")
    assert error.error_class == "connection"


def test_both_families_take_turns():
    assert interleaved(["1::", "2::", "3::", "4.4.4.4"]) == ["1::", "4.4.4.4", "2::", "3::"]


# -- the host's settings ---------------------------------------------------------------------------


@pytest.fixture
async def opened():
    """Opens the action of a host with settings."""
    async with trio.open_nursery() as nursery:

        async def keep(settings, task_status):
            context = TestContext("action-http", settings=HttpSettings(**settings))
            async with HttpRequest(context) as action:
                task_status.started(action)
                await trio.sleep_forever()

        async def start(**settings):
            return await nursery.start(keep, settings)

        yield start
        nursery.cancel_scope.cancel()


async def test_the_host_denies_what_an_event_allows(serve, opened, execution):
    server = serve(answer())
    action = await opened(deny_hosts=("127.0.0.0/8",))
    fields = {"url": server.url(), "allow_hosts": ("127.0.0.1",)}
    error = await failure(action, execution, Permanent, **fields)
    assert (error.error_class, server.heads) == ("forbidden", [])


async def test_an_event_denies_what_the_host_allows(serve, opened, execution):
    server = serve(answer())
    action = await opened(allow_hosts=("127.0.0.0/8",))
    fields = {"url": f"http://localhost:{server.port}/", "deny_hosts": ("127.0.0.1", "::1")}
    assert (await failure(action, execution, Permanent, **fields)).error_class == "forbidden"


async def test_only_the_host_opens_metadata_services(serve, opened, execution, named):
    server = serve(answer(body=b"ok"))
    named(metadata=["127.0.0.1"])
    url = f"http://metadata:{server.port}/"
    error = await failure(await opened(), execution, Permanent, url=url)
    assert (error.error_class, server.heads) == ("forbidden", [])
    action = await opened(allow_link_local=True)
    assert (await action.run(HttpRequestConfig(url=url), execution))["body"] == "ok"


@pytest.mark.parametrize(
    ("url", "settings", "refused"),
    [
        ("http://a.example.org/", {"allow_hosts": ("*.example.com",)}, True),
        ("http://a.example.com/", {"allow_hosts": ("*.example.com",)}, False),
        ("http://a.example.com/", {"deny_hosts": ("a.*",)}, True),
        ("http://anything.org/", {"allow_hosts": ("10.0.0.0/8",)}, False),
        ("http://127.0.0.1/", {"allow_hosts": ("10.0.0.0/8",)}, True),
        ("http://169.254.169.254/", {}, True),
        ("http://169.254.169.254/", {"allow_link_local": True}, False),
        ("http://metadata.google.internal/", {}, True),
        ("http://[::]/", {"allow_link_local": True}, True),
    ],
)
def test_what_the_host_does_not_allow_is_refused_when_the_event_is_written(url, settings, refused):
    config = HttpRequestConfig(url=url)
    check_request(config, None)
    if not refused:
        check_request(config, HttpSettings(**settings))
        return
    with pytest.raises(ConfigError) as raised:
        check_request(config, HttpSettings(**settings))
    assert raised.value.path == ("url",)


# -- what is no URL --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url", ["http://[::1", "http://xn--/", "http://xn--a.org/", "http://a:x/", "http://ÿ..\u2603/"]
)
def test_a_host_that_cannot_be_is_refused(url):
    with pytest.raises(ConfigError):
        check_url(url)


@pytest.mark.parametrize("user", ["user:geheim", "geheim", ":geheim", ""])
def test_a_user_in_the_url_is_refused_and_not_quoted(user):
    with pytest.raises(ConfigError) as raised:
        HttpRequestConfig(url=f"http://{user}@example.org/")
    assert "geheim" not in str(raised.value)
    assert "Authorization" in raised.value.hint


@given(host=st.text(max_size=20), path=st.text(max_size=10))
def test_what_passes_as_a_url_is_one_or_ends_in_a_word(host, path):
    with contextlib.suppress(ConfigError, Permanent), explained("", Mask()):
        config = HttpRequestConfig(url=f"http://{host}/{path}")
        assert Policy().refuses(request_of(config, EXECUTION).url.host) != ""
