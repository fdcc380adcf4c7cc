"""Where an answer sends us on to, if we may follow."""

from __future__ import annotations

import httpx

from alicia_action_http.config import HttpRequestConfig, check_url
from alicia_action_http.request import DEFAULTS
from alicia_scheduler.api import ConfigError, Permanent

__all__ = ["crosses", "redirected"]

REDIRECTS = frozenset({301, 302, 303, 307, 308})


def redirected(
    config: HttpRequestConfig, request: httpx.Request, response: httpx.Response
) -> httpx.Request | None:
    """The request that an answer sends us on to, or None when it is the end.

    Raises:
        Permanent: it leads where we may not go.
    """
    target = response.headers.get("location")
    if response.status_code not in REDIRECTS or not target or not config.follow_redirects:
        return None
    url = _target(request.url, target)
    if request.url.scheme == "https" and url.scheme != "https":
        raise Permanent(f"{url.host}: a redirect leads from https to http", error_class="redirects")
    crossing = crosses(request.url, url)
    keeps_method = response.status_code in (307, 308) or request.method in ("GET", "HEAD")
    headers = dict(DEFAULTS)
    content: bytes | None = None
    if not crossing:
        # What describes a body goes with the body.
        headers = {
            name: value
            for name, value in request.headers.items()
            if name not in ("host", "content-length", "transfer-encoding")
            and (keeps_method or not name.startswith("content-"))
        }
    if keeps_method and request.method not in ("GET", "HEAD"):
        if crossing:
            raise Permanent(
                f"a redirect would send the body on to {url.host}", error_class="redirects"
            )
        content = request.content
    return httpx.Request(
        request.method if keeps_method else "GET",
        url,
        headers=headers,
        content=content,
        extensions=request.extensions,
    )


def crosses(one: httpx.URL, other: httpx.URL) -> bool:
    """True when two URLs are of different origins (RFC 6454)."""
    return _origin(one) != _origin(other)


def _target(base: httpx.URL, target: str) -> httpx.URL:
    try:
        url = base.join(target)
        check_url(str(url))
        # Read here, as httpx reads it only when it is asked for.
        url.host  # noqa: B018
    except ConfigError as error:
        raise Permanent(f"a redirect leads nowhere: {error}", error_class="redirects") from None
    except (httpx.InvalidURL, ValueError):
        raise Permanent("a redirect leads nowhere: no URL", error_class="redirects") from None
    return url


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    port = url.port or {"http": 80, "https": 443}.get(url.scheme)
    return url.scheme, url.host, port
