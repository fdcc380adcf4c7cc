"""Discovery and loading: a status and a sentence per plugin, whatever it does."""

from importlib import metadata

import pytest

from alicia_scheduler.api import ConfigError
from alicia_scheduler.host.discovery import find_candidates
from alicia_scheduler.host.loader import PluginStatus, load_plugins
from alicia_scheduler.host.registry import Registry
from alicia_scheduler.kernel.prepared import Unresolved

GOOD = """
from contextlib import asynccontextmanager
from msgspec import Struct
from alicia_scheduler.api import ActionType, hookimpl

class Config(Struct, forbid_unknown_fields=True):
    text: str

class Say:
    async def run(self, config, execution):
        return {"said": config.text}

@asynccontextmanager
async def open_say(context):
    yield Say()

@hookimpl
def alicia_action_types():
    yield ActionType(name="NAME", config=Config, open=open_say)
"""


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Install a fake distribution: metadata as pip writes it, and a module."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def add(plugin, source, *, distribution=None, group="alicia_scheduler.plugins"):
        distribution = distribution or f"dist-{plugin}"
        module = distribution.replace("-", "_")
        tmp_path.joinpath(f"{module}.py").write_text(source)
        info = tmp_path / f"{module}-1.2.dist-info"
        info.mkdir()
        info.joinpath("METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.2\n"
        )
        info.joinpath("entry_points.txt").write_text(f"[{group}]\n{plugin} = {module}\n")

    def load(**options):
        found = find_candidates(metadata.distributions(path=[str(tmp_path)]))
        return load_plugins(found, **options)

    add.load = load
    return add


def test_a_sound_plugin_is_active_and_contributes(install):
    install("say", GOOD.replace("NAME", "say.aloud"))
    (record,) = install.load()
    assert (record.status, record.reason) == (PluginStatus.ACTIVE, None)
    assert (record.distribution, record.version) == ("dist-say", "1.2")
    assert record.import_time > 0
    assert Registry([record]).action_types.find("say.aloud")


CALL = """
from msgspec import Struct
from alicia_scheduler.api import ServiceCall, hookimpl

class Data(Struct, forbid_unknown_fields=True):
    times: int = 1

async def blink(context, data, execution):
    return {"blinked": data.times}

@hookimpl
def alicia_service_calls():
    yield ServiceCall(name="NAME", data=Data, call=blink)
"""


def test_a_service_call_is_listed_with_what_else_a_plugin_brings(install):
    install("lamp", CALL.replace("NAME", "lamp.blink"))
    (record,) = install.load()
    assert record.to_wire()["contributions"] == {"service_calls": ["lamp.blink"]}
    assert Registry([record]).service_calls.find("lamp.blink")


def test_a_plugin_that_is_called_scheduler_cannot_take_the_schedulers_domain(install):
    install("scheduler", CALL.replace("NAME", "scheduler.explode"))
    (record,) = install.load()
    assert record.status is PluginStatus.BROKEN


BROKEN = {
    "import fails": ("import nothing_of_this_name", "ModuleNotFoundError"),
    "import exits": ("raise SystemExit(3)", "SystemExit: 3"),
    "syntax error": ("def broken(:", "SyntaxError"),
    "no hooks": ("x = 1", "it has no hooks"),
    "forgotten marker": (
        GOOD.replace("NAME", "bad.x").replace("@hookimpl", ""),
        "mark its functions",
    ),
    "unknown hook": (
        "from alicia_scheduler.api import hookimpl\n@hookimpl\ndef alicia_tides(): return ()",
        "alicia_tides",
    ),
    "unknown argument": (
        (
            "from alicia_scheduler.api import hookimpl\n"
            "@hookimpl\ndef alicia_action_types(wrong): return ()"
        ),
        "wrong",
    ),
    "async hook": (
        (
            "from alicia_scheduler.api import hookimpl\n"
            "@hookimpl\nasync def alicia_action_types(): return ()"
        ),
        "is async",
    ),
    "keyword-only argument": (
        (
            "from alicia_scheduler.api import hookimpl\n"
            "@hookimpl\ndef alicia_action_types(*, info): return ()"
        ),
        "keyword-only",
    ),
    "hook raises": (
        (
            "from alicia_scheduler.api import hookimpl\n"
            "@hookimpl\ndef alicia_action_types(): raise RuntimeError('no lamp')"
        ),
        "RuntimeError: no lamp",
    ),
    "wrong object": (
        (
            "from alicia_scheduler.api import hookimpl\n"
            "@hookimpl\ndef alicia_action_types(): return ['lamp']"
        ),
        "must yield ActionType",
    ),
    "bare name": (GOOD.replace("NAME", "say"), "call it 'bad.say'"),
    "name of a first-party type": (GOOD.replace("NAME", "mqtt_publish"), "alicia-action-mqtt"),
    "foreign namespace": (GOOD.replace("NAME", "other.say"), "must begin with 'bad.'"),
    "impossible name": (GOOD.replace("NAME", "bad.Say!"), "is not allowed"),
    "the same type twice": (
        GOOD.replace("NAME", "bad.say")
        + "    yield ActionType(name='bad.say', config=Config, open=open_say)\n",
        "twice",
    ),
    "settings that are no configuration class": (
        GOOD.replace("NAME", "bad.say") + "\n@hookimpl\ndef alicia_settings(): yield int\n",
        "alicia_settings yielded int",
    ),
    "two classes of settings": (
        GOOD.replace("NAME", "bad.say")
        + "\n@hookimpl\ndef alicia_settings(): return [Config, Config]\n",
        "must yield one",
    ),
    "a service call without a domain": (CALL.replace("NAME", "blink"), "call it 'bad.blink'"),
    "a service call in a foreign domain": (
        CALL.replace("NAME", "lamp.blink"),
        "must begin with 'bad.'",
    ),
    "a service call of the scheduler's": (
        CALL.replace("NAME", "scheduler.trigger"),
        "kept for the scheduler",
    ),
    "a service call in the scheduler's domain": (
        CALL.replace("NAME", "scheduler.explode"),
        "kept for the scheduler",
    ),
    "the same service call twice": (
        CALL.replace("NAME", "bad.blink")
        + "    yield ServiceCall(name='bad.blink', data=Data, call=blink)\n",
        "offers the service call 'bad.blink' twice",
    ),
    "service calls that are none": (
        CALL.replace("NAME", "bad.blink").replace("ServiceCall(name", "dict(name"),
        "must yield ServiceCall",
    ),
    "data that are no class": (
        CALL.replace("NAME", "bad.blink").replace("data=Data", "data={}"),
        "has a data that is not a class",
    ),
    "config that is no class": (
        GOOD.replace("NAME", "bad.say").replace("config=Config", "config='text'"),
        "not a class",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_plugin_gets_a_sentence_and_breaks_no_other(install, case):
    source, sentence = BROKEN[case]
    install("bad", source, distribution=f"dist-bad-{list(BROKEN).index(case)}")
    install("say", GOOD.replace("NAME", "say.aloud"))
    bad, good = install.load()
    assert bad.status is PluginStatus.BROKEN
    assert sentence in bad.reason
    assert "\n" not in bad.reason
    assert good.status is PluginStatus.ACTIVE


def test_nothing_of_a_plugin_counts_when_a_part_of_it_is_wrong(install):
    source = GOOD.replace("NAME", "half.good") + (
        "\n@hookimpl\ndef alicia_sinks(): raise RuntimeError('late')\n"
    )
    install("half", source)
    (record,) = install.load()
    assert record.status is PluginStatus.BROKEN
    assert Registry([record]).action_types.find("half.good") is None


def test_two_distributions_that_claim_one_name_are_both_refused(install):
    install("say", GOOD.replace("NAME", "say.x"), distribution="first")
    install("say", GOOD.replace("NAME", "say.x"), distribution="second")
    first, second = install.load()
    assert first.status is second.status is PluginStatus.CONFLICT
    assert "second" in first.reason
    assert "first" in second.reason


def test_a_plugin_for_another_api_is_not_imported(install):
    install("future", "raise AssertionError('imported')", group="alicia_scheduler.plugins.v2")
    (record,) = install.load()
    assert record.status is PluginStatus.INCOMPATIBLE
    assert "API 2" in record.reason
    assert record.import_time is None


def test_a_disabled_plugin_is_not_imported(install):
    install("say", "raise AssertionError('imported')")
    (record,) = install.load(disabled={"say"})
    assert record.status is PluginStatus.DISABLED


@pytest.mark.parametrize(
    ("name", "possible", "words"),
    [
        ("tell.aloud", True, "install the plugin 'tell' that brings it, or did you mean 'say.al"),
        ("tide.high", True, "(install the plugin 'tide' that brings it)"),
        ("say.alod", False, "did you mean 'say.aloud'?"),
        ("http_requst", False, "did you mean 'http_request'?"),
    ],
)
def test_a_type_of_a_plugin_that_is_not_here_is_no_mistake_however_like_others_it_is_called(
    install, name, possible, words
):
    install("say", GOOD.replace("NAME", "say.aloud"))
    with pytest.raises((Unresolved, ConfigError)) as refusal:
        Registry(install.load()).action_types.get(name)
    assert isinstance(refusal.value, Unresolved) == possible
    assert words in f"{refusal.value} {getattr(refusal.value, 'hint', '')}"
