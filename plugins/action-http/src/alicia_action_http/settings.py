"""What whoever runs the host allows every event to ask: ``[plugins.action-http]``."""

from __future__ import annotations

from urllib.parse import urlsplit

import msgspec

from alicia_action_http.config import HttpRequestConfig
from alicia_action_http.hosts import Lists, Policy, check_entries
from alicia_scheduler.api import ConfigError

__all__ = ["HttpSettings", "check_request", "policy_of"]


class HttpSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[plugins.action-http]``. An event's own lists restrict further, and never loosen.

    Attributes:
        allow_link_local: whether events may ask link-local addresses, among them the metadata
            services of cloud machines.
        allow_hosts: patterns of host names and ranges of addresses; others are refused.
        deny_hosts: patterns of host names and ranges of addresses that are refused.
    """

    allow_link_local: bool = False
    allow_hosts: tuple[str, ...] = ()
    deny_hosts: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_entries(self.allow_hosts, "allow_hosts")
        check_entries(self.deny_hosts, "deny_hosts")


def policy_of(config: HttpRequestConfig, settings: HttpSettings) -> Policy:
    """What an event may ask on this host."""
    hosts = Lists.of("this host's", settings.allow_hosts, settings.deny_hosts)
    events = Lists.of("the event's", config.allow_hosts, config.deny_hosts)
    return Policy((hosts, events), settings.allow_link_local)


def check_request(config: HttpRequestConfig, settings: HttpSettings | None) -> None:
    """Hold an event's action against what the host allows, as far as its URL tells.

    Raises:
        ConfigError: the host is not allowed.
    """
    if settings is None:
        return
    refused = policy_of(config, settings).refuses(urlsplit(config.url).hostname or "")
    if refused is not None:
        raise ConfigError(
            refused,
            path=("url",),
            hint="allow_hosts, deny_hosts and allow_link_local below [plugins.action-http] say "
            "what events may ask",
        )
