"""What else the page about errors holds: words and numbers that tell failures apart."""

from __future__ import annotations

from tools.reference.sources import error_classes, refusal_codes, trouble_classes

__all__ = ["CLASSES", "CODES", "EXITS", "TROUBLES", "failures"]

CODES = {
    "conflict": "The event has another revision than the one that the edit began from, or the id is "
    "taken.",
    "id_reuse": "The `id` of a message over WebSocket is not higher than the one before.",
    "invalid_format": "An argument is wrong; `path` says which.",
    "not_allowed": "Whoever asks may not do this.",
    "not_found": "There is no such event, execution or plugin.",
    "not_supported": "It cannot be done as things stand; the message says why.",
    "too_many": "This connection has as many subscriptions as it may have.",
    "too_slow": "The client does not read what it subscribed to; the subscription ended.",
    "unauthorized": "The host asks for a token, or refuses the one that it was given.",
    "unavailable": "The schedule does not run yet or any more, or the store cannot be read.",
    "unknown_command": "There is no command of that name.",
    "unknown_error": "A fault of the scheduler's own. The log has the traceback.",
}
"""Meaning of each code of a refused command."""

EXITS = {
    0: "Done, or the answer is yes.",
    1: "The answer is no: a mistake in the configuration, a refusal, nothing found.",
    2: "Wrong usage of the command line.",
    3: "No host answers, and the command needs one.",
}

TROUBLES = {
    "error": "Anything without a class of its own.",
    "chain": "An event that another one should trigger is not there.",
    "configuration": "A reload was refused because the configuration has a mistake.",
    "loop_held": "A plugin held the loop of the host instead of waiting.",
    "overlooked": "The self-check found a due slot that the agenda did not know; it runs.",
    "plugin_quarantined": "A plugin failed too often and rests.",
    "rate": "An event's slots are closer together than `min_interval`.",
    "refused": "A command that came without a way to answer was refused.",
    "service": "A service failed; it is started again after a while.",
    "sink": "A sink failed; it is opened again after a while.",
    "slot taken": "A slot is on record already, so it does not run a second time.",
    "store": "The store cannot be written, or was moved aside.",
    "stuck": "A run does not end although it was cancelled.",
    "unresolved": "The schedule or action type of an event is not there, or its configuration is wrong.",
}
"""Meaning of each ``class`` of a notification ``error``."""

CLASSES = {
    "ack_timeout": "The device did not confirm in time.",
    "auth_invalid": "Home Assistant refused the token.",
    "bad_interpreter": "The program that the script's first line names is not there.",
    "bad_json": "The output was to be JSON and is none.",
    "completion": "The report of completion did not come, or says that it failed.",
    "connection": "The far side cannot be reached, or the connection was lost.",
    "cwd": "The working directory is not there.",
    "expired": "The message was worth nothing any more before the broker came back.",
    "forbidden": "The address is one that requests may not go to.",
    "invalid_data": "The data of a service call is wrong.",
    "launcher_lost": "The process that starts scripts is gone; it is started again.",
    "limits": "A limit of a script cannot be set.",
    "not_allowed": "The host's settings do not allow this.",
    "not_executable": "The file may not be executed.",
    "not_found": "The program, the service or the device is not there.",
    "outbox_full": "The outbox has no room.",
    "payload": "The message cannot be made, or is too large for the broker.",
    "permanent": "The action says that trying again cannot help.",
    "poison": "The broker hangs up whenever it gets this message.",
    "preview": "What would be sent cannot be made.",
    "protocol": "The answer is no HTTP.",
    "redirects": "Too many redirects, or one that may not be followed.",
    "refused": "The broker refused the message.",
    "regex": "A pattern took too long.",
    "reported_failure": "The report of completion says that it failed.",
    "request": "The request cannot be made.",
    "retryable": "The action says that it may work later.",
    "service_error": "The service says that it failed.",
    "service_unavailable": "A service that the action needs is not running at the moment.",
    "start": "The program cannot be started.",
    "stuck": "The run did not end although it was cancelled.",
    "template": "A template failed.",
    "timeout": "It took longer than it may.",
    "tls": "The certificate is not right, or the other side speaks no TLS.",
    "too_large": "The answer is larger than `max_response`.",
    "too_long": "The command line is too long.",
    "topic": "The topic cannot be published to.",
    "unexpected_answer": "The answer is not one that counts as success.",
    "unexpected_body": "The body is not what was expected.",
    "unkillable": "A process did not end although it was killed.",
    "unknown_outcome": "The connection broke while the call was under way; it is not made twice.",
    "url": "The URL is none.",
    "user": "The user to run as is not there, or may not be taken.",
}
"""Meaning of each ``error_class`` of an execution."""

CORE = "the scheduler"


def failures() -> str:
    """The sections behind the classes of errors.

    Raises:
        LookupError: the sources use a word that has no meaning here.
    """
    classes, codes, troubles = error_classes(), refusal_codes(), trouble_classes() | {"error"}
    known = ((classes, CLASSES), (codes, CODES), (troubles, TROUBLES))
    lost = sorted(word for used, meant in known for word in set(used) - set(meant))
    if lost:
        raise LookupError(f"words without a meaning in {__name__}: {lost}")
    parts = [
        "## Codes of refused commands",
        "`CommandError.code`, the same through every door.",
        _table(("code", "meaning"), [(f"`{code}`", CODES[code]) for code in sorted(codes)]),
        "## Exit codes of the command line",
        _table(("code", "meaning"), [(str(code), text) for code, text in EXITS.items()]),
        "## Classes of failed executions",
        "`error_class` of an execution: what `no_retry_on` lists and statistics count. "
        "`http_request` adds `http_<status>` for each status, `script_execution` `exit_<code>` and "
        "`signal_<number>`, and an exception without a class has its own name.",
        _table(
            ("class", "meaning", "from"),
            [(f"`{name}`", CLASSES[name], _owners(classes[name])) for name in sorted(classes)],
        ),
        "## Classes of trouble",
        "`class` of a notification [`error`](notifications.md#error), which is about no execution.",
        _table(("class", "meaning"), [(f"`{name}`", TROUBLES[name]) for name in sorted(troubles)]),
    ]
    return "\n\n".join(parts)


def _owners(owners: set[str]) -> str:
    return ", ".join(
        CORE if owner == "core" else f"[{owner}](plugins/{owner}.md)" for owner in sorted(owners)
    )


def _table(heads: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [f"| {' | '.join(heads)} |", "|" + " --- |" * len(heads)]
    return "\n".join(lines + [f"| {' | '.join(row)} |" for row in rows])
