"""What is refused when the event is written, with its place and what to write instead."""

import contextlib

import httpx
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alicia_action_http import HttpRequestConfig
from alicia_action_http.expectation import BodyCheck, JsonCheck
from alicia_action_http.jsonpath import find, parse_path
from alicia_scheduler.api import ConfigError
from alicia_scheduler.config.convert import convert_all

URL = "https://example.org/"


def issues_of(**fields):
    issues = []
    convert_all({"url": URL} | fields, HttpRequestConfig, issues, path=("action",))
    return issues


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({"url": "ftp://example.org"}, "action.url"),
        ({"url": "example.org"}, "action.url"),
        ({"url": "http://"}, "action.url"),
        ({"url": "http://a b/"}, "action.url"),
        ({"url": "http://a:99999/"}, "action.url"),
        ({"url": 5}, "action.url"),
        ({"url": "http://a..b/"}, "action.url"),
        ({"url": f"http://{'a' * 64}/"}, "action.url"),
        ({"url": "http://256.1.1.1/"}, "action.url"),
        ({"url": "http://[v1.a]/"}, "action.url"),
        ({"url": "http://a/\x7f"}, "action.url"),
        ({"url": f"http://a/{'a' * 70_000}"}, "action.url"),
        ({"method": "FETCH"}, "action.method"),
        ({"headers": {"a b": "c"}}, "action.headers.a b"),
        ({"headers": {"Host": "evil"}}, "action.headers.Host"),
        ({"headers": {"a": "b\r\nc: d"}}, "action.headers.a"),
        ({"query": {"a": []}}, "action.query.a"),
        ({"method": "POST", "json": {}, "body": "x"}, "action.body"),
        ({"method": "POST", "json": None, "body": "x"}, "action.body"),
        ({"body": "x"}, "action.body"),
        ({"json": None}, "action.json"),
        ({"form": "x"}, "action.form"),
        ({"connect_timeout": 0}, "action.connect_timeout"),
        ({"read_timeout": "x"}, "action.read_timeout"),
        ({"write_timeout": -1}, "action.write_timeout"),
        ({"verify": "no"}, "action.verify"),
        ({"ca_file": "/nowhere.pem"}, "action.ca_file"),
        ({"cert_file": "/nowhere.pem"}, "action.cert_file"),
        ({"key_file": "/dev/null"}, "action.key_file"),
        ({"expect_status": ["7xx"]}, "action.expect_status.0"),
        ({"expect_status": []}, "action.expect_status"),
        ({"expect_status": [True]}, "action.expect_status.0"),
        ({"expect_body": {}}, "action.expect_body"),
        ({"expect_body": {"matches": "("}}, "action.expect_body.matches"),
        ({"expect_body": {"json": {"path": "a..b"}}}, "action.expect_body.json.path"),
        ({"follow_redirects": 1}, "action.follow_redirects"),
        ({"max_response": -1}, "action.max_response"),
        ({"idempotency_header": "a b"}, "action.idempotency_header"),
        ({"idempotency_header": "Host"}, "action.idempotency_header"),
        ({"allow_hosts": ["*.example.com"]}, "action.url"),
        ({"deny_hosts": ["example.org"]}, "action.url"),
        ({"allow_link_local": True}, "action.allow_link_local"),
        ({"hedders": {}}, "action.hedders"),
    ],
)
def test_a_wrong_field_is_named(fields, place):
    (issue,) = issues_of(**fields)
    assert ".".join(map(str, issue.path)) == place


def test_a_secret_in_a_wrong_header_is_not_shown():
    (issue,) = issues_of(headers={"Authorization": "Bearer geheim\n"})
    assert "geheim" not in str(issue)


def test_a_url_is_all_that_is_needed():
    config = msgspec.convert({"url": URL}, HttpRequestConfig)
    assert (config.method, config.verify, config.follow_redirects) == ("GET", True, False)


@given(st.text(st.characters(codec="ascii"), max_size=30))
def test_what_is_let_through_as_a_url_can_be_asked(text):
    for url in (f"http://{text}", f"http://a/{text}"):
        if not issues_of(url=url):
            assert httpx.URL(url).host


@pytest.mark.parametrize(
    ("method", "header", "sent"),
    [
        ("GET", None, None),
        ("POST", None, "Idempotency-Key"),
        ("POST", "", None),
        ("GET", "X-Key", "X-Key"),
    ],
)
def test_the_key_is_sent_where_something_changes_unless_told_otherwise(method, header, sent):
    config = HttpRequestConfig(url=URL, method=method, idempotency_header=header)
    assert config.key_header == sent


@pytest.mark.parametrize(
    ("path", "there"),
    [("a.b[1]", 2), ("$.a.b[0]", 1), ("a.b[-1]", 3), ('a["x y"]', 4), ("$", ...)],
)
def test_a_path_leads_to_its_place(path, there):
    value = {"a": {"b": [1, 2, 3], "x y": 4}}
    assert find(value, path) == (value if there is ... else there)


@pytest.mark.parametrize("path", ["a.c", "a.b[9]", "a[0]", "a.b.c", "[0]"])
def test_a_path_that_leads_nowhere_says_so(path):
    with pytest.raises(LookupError):
        find({"a": {"b": [1]}}, path)


@given(st.text())
def test_any_text_is_a_path_or_is_refused(text):
    with contextlib.suppress(ValueError):
        assert all(isinstance(step, (str, int)) for step in parse_path(text))


def test_a_body_check_that_looks_for_nothing_is_refused():
    with pytest.raises(ConfigError):
        BodyCheck()
    assert JsonCheck(path="a").equals is msgspec.UNSET


@pytest.mark.parametrize("name", ["Authorization", "Cookie", "X-Api-Key", "Proxy-Authorization"])
def test_a_header_of_the_wrong_type_is_not_quoted(name):
    (issue,) = issues_of(headers={name: 4711_0815})
    assert "47110815" not in str(issue)
    assert issue.path == ("action", "headers", name)
