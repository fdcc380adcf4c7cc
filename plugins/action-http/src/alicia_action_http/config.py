"""What an event's ``action = { type = "http_request", … }`` may say."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit, urlunsplit

import msgspec
from msgspec import Meta

from alicia_action_http.addresses import parse_address
from alicia_action_http.expectation import BodyCheck
from alicia_action_http.hosts import Lists, ascii_name, check_entries
from alicia_scheduler.api import ConfigError

__all__ = ["LARGEST", "HttpRequestConfig", "check_url"]

Seconds = Annotated[float, Meta(gt=0, le=86_400)]
Method = Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]

TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""The name of a header (RFC 9110 section 5.6.2)."""

OURS = frozenset(
    {"connection", "content-length", "host", "te", "trailer", "transfer-encoding", "upgrade"}
)
"""Headers that the client makes from the request itself."""

LARGEST = 8 * 1024 * 1024
"""Bytes of body that are read at the most (reliability.md R56)."""

PEM_READ = 256 * 1024
"""Bytes of a key file that are looked at."""

HOST = re.compile(r"(?=.{1,253}\Z)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*")
"""Names that can be looked up (RFC 1035 section 2.3.4), without the dot at the end."""

LONGEST_URL = 64 * 1024
"""Characters that the client takes."""

DOTTED = re.compile(r"[0-9]+(\.[0-9]+){3}")
"""What is an IPv4 address or a mistake."""

STATUS = re.compile(r"[1-5](xx|[0-9][0-9])")
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


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
        allow_hosts: patterns of host names (``*.example.org``) and ranges of addresses
            (``10.0.0.0/8``); others are refused. They restrict what the host allows further.
        deny_hosts: patterns of host names and ranges of addresses that are refused.

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
    max_response: Annotated[int, Meta(ge=0, le=LARGEST)] = LARGEST
    idempotency_header: str | None = None
    allow_hosts: tuple[str, ...] = ()
    deny_hosts: tuple[str, ...] = ()

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
        check_entries(self.allow_hosts, "allow_hosts")
        check_entries(self.deny_hosts, "deny_hosts")
        lists = Lists.of("the event's", self.allow_hosts, self.deny_hosts)
        if refused := lists.refuses_name(ascii_name(urlsplit(self.url).hostname or "")):
            raise ConfigError(refused, path=("url",))

    def __repr__(self) -> str:
        # Headers, query and body may hold secrets, and a repr ends up in tracebacks.
        parts = urlsplit(self.url)
        return f"HttpRequestConfig({self.method} {urlunsplit((*parts[:3], '', ''))})"

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

    def _check_headers(self) -> None:
        seen: set[str] = set()
        for name, value in self.headers.items():
            if name.lower() in seen:
                raise ConfigError(
                    f"{name!r} is there twice: upper and lower case are the same to a header",
                    path=("headers", name),
                )
            seen.add(name.lower())
            if TOKEN.fullmatch(name) is None or name.lower() in OURS:
                raise ConfigError(
                    f"{name!r} cannot be set as a header",
                    path=("headers", name),
                    hint="letters, digits and -; Host and Content-Length follow from the request",
                )
            if not value.isprintable() or not value.isascii() or value != value.strip():
                # Never quote the value: it may be a secret.
                raise ConfigError(
                    "the value has characters that a header cannot carry",
                    path=("headers", name),
                    hint="printable ASCII, in one line, without spaces around it",
                )
        own = self.idempotency_header
        if own and (TOKEN.fullmatch(own) is None or own.lower() in OURS):
            raise ConfigError(
                f"{own!r} cannot be set as a header",
                path=("idempotency_header",),
                hint="letters, digits and -; Host and Content-Length follow from the request",
            )

    def _check_content(self) -> None:
        given = [
            key
            for key, there in (
                ("json", self.json is not msgspec.UNSET),  # null is JSON too
                ("form", self.form is not None),
                ("body", self.body is not None),
            )
            if there
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
        key = "key_file" if self.key_file is not None else "cert_file"
        if _is_encrypted(getattr(self, key)):
            raise ConfigError(
                "the key is encrypted, and nobody is there to type its password",
                path=(key,),
                hint="openssl pkey -in KEY -out PLAIN, readable only for the host's user",
            )


def _is_encrypted(file: str | None) -> bool:
    if file is None:
        return False
    try:
        with Path(file).open("rb") as opened:
            text = opened.read(PEM_READ)
    except OSError:
        # It will be said when it is used: the host's user may not be the one who checks.
        return False
    return b"BEGIN ENCRYPTED PRIVATE KEY" in text or b"Proc-Type: 4,ENCRYPTED" in text


def check_url(url: str, path: tuple[str, ...] = ()) -> None:
    """Refuse what is no URL to ask. Never quotes it: it may hold secrets.

    Raises:
        ConfigError: the scheme, the host or the port is none, or there is a user in it.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
        host = ascii_name(parts.hostname or "")
    except ValueError:
        raise ConfigError(
            "no URL: its host or port cannot be read", path=path, hint="https://example.org/path"
        ) from None
    if parts.scheme not in ("http", "https"):
        raise ConfigError(
            "the scheme cannot be asked" if parts.scheme else "the scheme is missing",
            path=path,
            hint="http:// or https://",
        )
    if parts.username is not None or parts.password is not None:
        raise ConfigError(
            "a user or password in the URL would be seen wherever the URL is",
            path=path,
            hint='headers = { Authorization = { secret = "…" } }, whose value is "Basic …"',
        )
    if "[" in parts.netloc or DOTTED.fullmatch(host) is not None:
        named = parse_address(host) is not None
    else:
        named = HOST.fullmatch(host) is not None
    if not named or port == 0:
        raise ConfigError(
            "the URL names no host that could be asked", path=path, hint="https://example.org/path"
        )
    if len(url) > LONGEST_URL:
        raise ConfigError(f"a URL has at most {LONGEST_URL} characters", path=path)
    if any(char.isspace() or char < "!" or char == "\x7f" for char in url):
        raise ConfigError(
            "the URL holds spaces or control characters", path=path, hint="write a space as %20"
        )
