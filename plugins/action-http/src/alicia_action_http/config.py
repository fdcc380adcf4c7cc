"""What an event's ``action = { type = "http_request", … }`` may say."""

from __future__ import annotations

import fnmatch
import re
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from alicia_action_http.jsonpath import parse_path
from alicia_scheduler.api import ConfigError

__all__ = ["BodyCheck", "HttpRequestConfig", "JsonCheck"]

Seconds = Annotated[float, Meta(gt=0, le=86_400)]
Method = Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]

TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""The name of a header (RFC 9110 section 5.6.2)."""

OURS = frozenset({"host", "content-length", "transfer-encoding", "connection"})
"""Headers that the client makes from the request itself."""

STATUS = re.compile(r"[1-5](xx|[0-9][0-9])")
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


class JsonCheck(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A place in a JSON answer that must be there, and what must stand there.

    Attributes:
        path: keys and indices, as ``data.items[0].state``.
        equals: the value there; left out, any value will do.
    """

    path: str
    equals: Any = msgspec.UNSET

    def __post_init__(self) -> None:
        try:
            parse_path(self.path)
        except ValueError as error:
            raise ConfigError(str(error), path=("path",), hint="data.items[0].state") from None


class BodyCheck(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the answer's body must hold; all that are given must.

    Attributes:
        contains: a text that is part of it.
        matches: a regular expression that is found in it.
        json: a place in it, read as JSON.
    """

    contains: str | None = None
    matches: str | None = None
    json: JsonCheck | None = None

    def __post_init__(self) -> None:
        if self.contains is None and self.matches is None and self.json is None:
            raise ConfigError(
                "nothing to look for", hint='write contains = "…", matches = "…" or json = { … }'
            )
        if self.matches is not None:
            import regex

            try:
                regex.compile(self.matches)
            except regex.error as error:
                raise ConfigError(
                    f"{self.matches!r} is no regular expression: {error}", path=("matches",)
                ) from None


class HttpRequestConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The request, what answer is right, and what is allowed on the way.

    Attributes:
        url: ``http`` or ``https``.
        method: default ``GET``.
        headers: sent as they are. They never cross to another origin, and never appear in
            results, errors or logs.
        query: added to the URL's own query.
        json, form, body: what is sent: JSON, a form, or text. At most one of them.
        connect_timeout, read_timeout, write_timeout: seconds for each phase; the event's
            ``timeout`` bounds the whole.
        verify: whether the server's certificate is checked.
        ca_file: certificates to trust instead of the system's (PEM).
        cert_file, key_file: the client's own certificate and key (PEM).
        expect_status: codes (``204``) and classes (``"2xx"``) that count as success.
        expect_body: what the body must hold to count as success.
        follow_redirects: at most 5, never from https to http, and to another origin without the
            headers and the body's credentials.
        max_response: bytes of body, unpacked, after which the request fails.
        idempotency_header: name of the header that carries the idempotency key; by default
            ``Idempotency-Key`` for methods that change something. An empty text sends none.
        allow_hosts: patterns of host names, e.g. ``*.example.org``; others are refused.
        deny_hosts: patterns of host names that are refused.
        allow_link_local: whether link-local addresses may be asked, among them the metadata
            services of cloud machines.

    Raises:
        ConfigError: something of it cannot be meant.
    """

    url: str
    method: Method = "GET"
    headers: dict[str, str] = msgspec.field(default_factory=dict)
    query: dict[str, str | int | float | bool] = msgspec.field(default_factory=dict)
    json: Any = msgspec.UNSET
    form: dict[str, str] | None = None
    body: str | None = None
    connect_timeout: Seconds = 10.0
    read_timeout: Seconds = 30.0
    write_timeout: Seconds = 30.0
    verify: bool = True
    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None
    expect_status: tuple[int | str, ...] = ("2xx",)
    expect_body: BodyCheck | None = None
    follow_redirects: bool = False
    max_response: Annotated[int, Meta(ge=0, le=2**30)] = 8 * 1024 * 1024
    idempotency_header: str | None = None
    allow_hosts: tuple[str, ...] = ()
    deny_hosts: tuple[str, ...] = ()
    allow_link_local: bool = False

    def __post_init__(self) -> None:
        check_url(self.url, ("url",))
        self._check_headers()
        self._check_content()
        self._check_files()
        for index, status in enumerate(self.expect_status):
            if STATUS.fullmatch(str(status)) is None:
                raise ConfigError(
                    f"{status!r} is no status",
                    path=("expect_status", index),
                    hint='a code as 204, or a class as "2xx"',
                )
        if not self.expect_status:
            raise ConfigError("no status would be right", path=("expect_status",))
        host = urlsplit(self.url).hostname or ""
        if not self.may_ask(host):
            raise ConfigError(
                f"the host {host!r} is not allowed by allow_hosts and deny_hosts", path=("url",)
            )

    @property
    def key_header(self) -> str | None:
        """The header for the idempotency key, if one is sent."""
        if self.idempotency_header is not None:
            return self.idempotency_header or None
        return None if self.method in SAFE else "Idempotency-Key"

    def expects(self, status: int) -> bool:
        """True when a status counts as success."""
        return any(
            str(wanted) in (str(status), f"{status // 100}xx") for wanted in self.expect_status
        )

    def may_ask(self, host: str) -> bool:
        """True when the host's name is allowed."""
        name = host.lower().rstrip(".")
        if any(fnmatch.fnmatchcase(name, pattern.lower()) for pattern in self.deny_hosts):
            return False
        return not self.allow_hosts or any(
            fnmatch.fnmatchcase(name, pattern.lower()) for pattern in self.allow_hosts
        )

    def _check_headers(self) -> None:
        for name, value in self.headers.items():
            if TOKEN.fullmatch(name) is None or name.lower() in OURS:
                raise ConfigError(
                    f"{name!r} cannot be set as a header",
                    path=("headers", name),
                    hint="letters, digits and -; Host and Content-Length follow from the request",
                )
            if not value.isprintable() or not value.isascii():
                # Never quote the value: it may be a secret.
                raise ConfigError(
                    "the value has characters that a header cannot carry",
                    path=("headers", name),
                    hint="printable ASCII, in one line",
                )
        if self.idempotency_header and TOKEN.fullmatch(self.idempotency_header) is None:
            raise ConfigError(
                f"{self.idempotency_header!r} is no name of a header", path=("idempotency_header",)
            )

    def _check_content(self) -> None:
        given = [
            key
            for key, value in (("json", self.json), ("form", self.form), ("body", self.body))
            if value is not None and value is not msgspec.UNSET
        ]
        if len(given) > 1:
            raise ConfigError(
                f"{' and '.join(given)} exclude each other", path=(given[1],), hint="keep one"
            )
        if given and self.method in ("GET", "HEAD"):
            raise ConfigError(
                f"a {self.method} request has no body", path=(given[0],), hint='method = "POST"'
            )

    def _check_files(self) -> None:
        for key in ("ca_file", "cert_file", "key_file"):
            file = getattr(self, key)
            if file is not None and not Path(file).is_file():
                raise ConfigError(f"there is no file {file!r}", path=(key,))
        if self.key_file is not None and self.cert_file is None:
            raise ConfigError("a key needs its certificate", path=("key_file",), hint="cert_file")


def check_url(url: str, path: tuple[str, ...] = ()) -> None:
    """Refuse what is no URL to ask.

    Raises:
        ConfigError: the scheme, the host or the port is none.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ConfigError(f"no URL: {error}", path=path) from None
    if parts.scheme not in ("http", "https"):
        raise ConfigError(
            f"the scheme {parts.scheme!r} cannot be asked", path=path, hint="http:// or https://"
        )
    if not parts.hostname or port == 0 or any(char.isspace() or char < "!" for char in url):
        raise ConfigError("the URL names no host that could be asked", path=path)
