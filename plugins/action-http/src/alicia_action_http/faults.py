"""What failed, in a word and a sentence, and whether trying again may help."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpcore
import httpx

from alicia_action_http.answer import Answer
from alicia_action_http.masking import Mask
from alicia_action_http.network import Forbidden, NoHost, TooLarge
from alicia_action_http.tls import EncryptedKey
from alicia_action_http.unpacking import NotUnpacked
from alicia_scheduler.api import Permanent, Retryable

__all__ = ["answered_wrong", "explained", "retry_after"]

MAY_PASS = frozenset({408, 425, 429})
"""Statuses below 500 that say nothing against asking again (RFC 9110, 8470, 6585)."""

SAID = 300
"""Characters of what the other side said that an error quotes."""


@contextmanager
def explained(host: str, mask: Mask) -> Iterator[None]:
    """Turn what the libraries raise into :class:`Retryable` and :class:`Permanent`."""
    try:
        yield
    except Forbidden as error:
        raise Permanent(str(error), error_class="forbidden") from None
    except (httpx.InvalidURL, UnicodeError, NoHost):
        raise Permanent(f"{host}: the URL cannot be asked", error_class="url") from None
    except TooLarge:
        raise Permanent(
            f"{host}: the answer has more than max_response bytes", error_class="too_large"
        ) from None
    except NotUnpacked as error:
        raise Retryable(f"{host}: {error}", error_class="protocol") from None
    except (httpcore.TimeoutException, httpx.TimeoutException) as error:
        phase = type(error).__name__.removesuffix("Timeout").lower()
        raise Retryable(f"{host}: no answer in time ({phase})", error_class="timeout") from None
    except (httpcore.NetworkError, httpx.NetworkError, ssl.SSLError) as error:
        raise _broken(host, error, mask) from None
    except (httpcore.LocalProtocolError, httpx.LocalProtocolError):
        # Its text quotes what it refuses, perhaps the value of a header.
        raise Permanent(
            f"{host}: the request cannot be written as HTTP", error_class="request"
        ) from None
    except (httpcore.ProtocolError, httpx.ProtocolError, httpx.DecodingError) as error:
        said = mask.excerpt(str(error), SAID)
        raise Retryable(f"{host}: the answer is no HTTP: {said}", error_class="protocol") from None
    except EncryptedKey:
        raise Permanent(
            "the key is encrypted, and nobody is there to type its password", error_class="tls"
        ) from None
    except OSError as error:
        raise Permanent(
            f"a certificate or key cannot be read: {error}", error_class="tls"
        ) from None


def answered_wrong(answer: Answer, wrong: str, now: datetime) -> Retryable | Permanent:
    """The failure of an answer that is not as expected."""
    head = answer.excerpt(SAID)[0].strip()
    message = f"{answer.url[:SAID]}: {wrong}" + (f": {head}" if head else "")
    error_class = f"http_{answer.status}"
    if answer.status in MAY_PASS or answer.status >= 500:
        after = retry_after(answer.headers.get("retry-after"), now)
        return Retryable(message, after=after, error_class=error_class)
    if 200 <= answer.status < 300:
        error_class = "unexpected_body" if "status" not in wrong[:6] else error_class
    return Permanent(message, error_class=error_class)


def retry_after(value: str | None, now: datetime) -> float | None:
    """Seconds that ``Retry-After`` asks for, as seconds or as a date (RFC 9110 section 10.2.3)."""
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        date = parsedate_to_datetime(text)
    except (TypeError, ValueError, OverflowError):
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=UTC)
    return max(0.0, (date - now).total_seconds())


def _broken(host: str, error: BaseException, mask: Mask) -> Retryable | Permanent:
    cause = _tls_fault(error)
    if cause is not None:
        return Permanent(f"{host}: {cause}", error_class="tls")
    said = mask.excerpt(_system_said(error) or str(error) or type(error).__name__, SAID)
    what = "no connection" if isinstance(error, httpcore.ConnectError) else "the connection broke"
    return Retryable(f"{host}: {what}: {said}", error_class="connection")


def _tls_fault(error: BaseException | None) -> str | None:
    """The sentence when a certificate or the TLS handshake is why; they do not mend themselves.
    A connection that ends in the middle of it (a server that restarts) does."""
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return f"the certificate is not trusted: {error.verify_message}"
        if isinstance(error, (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError)):
            return None
        if isinstance(error, ssl.SSLError):
            return f"TLS failed: {error.reason or error}"
        error = error.__cause__ or error.__context__
    return None


def _system_said(error: BaseException | None) -> str | None:
    """What the operating system said at the bottom of it: "Connection refused"."""
    said = None
    while error is not None:
        if isinstance(error, OSError) and error.strerror:
            said = error.strerror
        inner = error.exceptions[0] if isinstance(error, BaseExceptionGroup) else None
        error = inner or error.__cause__ or error.__context__
    return said
