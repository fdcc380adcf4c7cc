"""A plugin that was built for an older minor of the API runs with this one."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType

import pytest
from tests.api_versions.describe import IMPLEMENTED, describe
from tests.zoo.cage import Cage, until

from alicia_scheduler.api import API_VERSION, ActionType, hookimpl
from alicia_scheduler.api.hookspecs import Going, hookspec
from alicia_scheduler.host.hooks import HookFault, PluginHooks

HERE = Path(__file__).parent
RELEASED = sorted(HERE.glob("*.json"))


def of(file):
    return json.loads(file.read_text())


@pytest.fixture
def cage(tmp_path, monkeypatch):
    made = Cage(tmp_path, monkeypatch)
    yield made
    made.forget()


@pytest.mark.parametrize("file", RELEASED, ids=lambda file: file.stem)
def test_everything_that_was_released_is_still_there(file):
    old, new = of(file), describe()
    problems = []
    for hook, arguments in old["hooks"].items():
        now = new["hooks"].get(hook)
        if now is None or not set(arguments) <= set(now):
            problems.append(f"the hook {hook}")
    for name, shape in old["names"].items():
        now = new["names"].get(name)
        if now is None:
            problems.append(name)
        else:
            problems += [f"{name}: {what}" for what in losses(name, shape, now)]
    assert problems == []


def losses(name, old, new):
    """What somebody who relied on ``old`` would miss in ``new``."""
    if old["kind"] != new["kind"]:
        yield f"was {old['kind']}, is {new['kind']}"
        return
    yield from missing(
        "value", dict.fromkeys(old.get("values", ())), dict.fromkeys(new.get("values", ()))
    )
    yield from missing("field", old.get("fields", {}), new.get("fields", {}), required=True)
    yield from missing(
        "parameter", old.get("parameters", {}), new.get("parameters", {}), required=True
    )
    members, now = old.get("members", {}), new.get("members", {})
    yield from missing("member", members, now)
    for member, parameters in members.items():
        if parameters is not None and now.get(member) is not None:
            yield from missing(f"parameter of {member}", parameters, now[member], required=True)
    if name in IMPLEMENTED:
        yield from (f"asks for {member}" for member in now.keys() - members.keys())


def missing(what, old, new, *, required=False):
    yield from (f"the {what} {name} is gone" for name in old.keys() - new.keys())
    if required:
        yield from (
            f"the {what} {name} must be given now"
            for name, must in new.items()
            if must and not old.get(name, False)
        )


def test_the_version_is_that_of_the_last_release_only_while_nothing_was_added():
    last = of(RELEASED[-1])
    if tuple(last["version"]) == API_VERSION:
        assert describe() == last, "raise API_VERSION: something was added since its release"
    assert tuple(last["version"]) <= API_VERSION


def test_the_comparison_sees_what_would_break_a_plugin():
    old = {
        "kind": "data",
        "fields": {"name": True, "summary": False},
        "members": {"go": {"a": True}},
    }
    new = {
        "kind": "data",
        "fields": {"name": True, "colour": True},
        "members": {"go": {"a": True, "b": True}, "stop": {}},
    }
    assert list(losses("Action", old, new)) == [
        "the field summary is gone",
        "the field colour must be given now",
        "the parameter of go b must be given now",
        "asks for stop",
    ]


OLD = """
[plugins.old]
colour = "blue"
[sinks."old.record"]
[events.old]
schedule_type = "old.every"
schedule_config = { seconds = 0.1 }
action = { type = "old.blink", times = 1 }
"""


async def test_a_plugin_of_the_previous_minor_runs_with_all_that_it_has(cage):
    source = HERE.joinpath("plugin_1_0.py").read_text()
    cage.install("old", source)
    async with cage.running(OLD):
        old = cage.records["old"]
        assert (old.status, old.reason, old.warnings) == ("active", None, [])
        await until(lambda: {"action", "sink"} <= set(sys.modules["zoo_old"].seen))
        assert old.errors == 0
    assert {kind for kind, items in old.contributions.by_kind().items() if items} == {
        *("schedule type", "action type", "sink", "service", "service call", "store")
    }


@pytest.mark.parametrize("minor", range(API_VERSION[1] + 1))
async def test_a_plugin_that_needs_any_minor_so_far_is_loaded(cage, minor):
    source = HERE.joinpath("plugin_1_0.py").read_text()
    cage.install("old", source, group=f"alicia_scheduler.plugins.v{API_VERSION[0]}.{minor}")
    async with cage.running():
        assert cage.records["old"].status == "active"


# -- what will go away -----------------------------------------------------------------------


class Specs:
    """The hooks of a minor to come, in which some are on their way out."""

    @hookspec
    def alicia_action_types(self, info, colour): ...

    @hookspec
    def alicia_lamps(self, info): ...


GOING = Going(
    hooks={"alicia_lamps": "yield the lamps from alicia_action_types"},
    arguments={("alicia_action_types", "colour"): "it is in info now"},
    removed={"alicia_candles": "there are lamps now"},
)


def plugin(**hooks):
    made = ModuleType("plugin")
    for name, function in hooks.items():
        setattr(made, name, hookimpl(function))
    return made


def hooks_of(**hooks):
    return PluginHooks("lamp", plugin(**hooks), Specs, GOING)


def test_a_deprecated_hook_still_works_and_warns():
    assert hooks_of(alicia_lamps=lambda info: ()).warnings == [
        "the hook alicia_lamps will go away: yield the lamps from alicia_action_types"
    ]


def test_a_deprecated_argument_is_still_given_and_warns():
    assert hooks_of(alicia_action_types=lambda colour: ()).warnings == [
        "the argument 'colour' of the hook alicia_action_types will go away: it is in info now"
    ]


def test_what_is_not_deprecated_does_not_warn():
    assert hooks_of(alicia_action_types=lambda info: ()).warnings == []


def test_a_removed_hook_is_refused_with_what_to_do_instead():
    with pytest.raises(HookFault, match="alicia_candles is no more: there are lamps now"):
        hooks_of(alicia_candles=lambda: ())


def test_a_plugin_for_several_minors_marks_a_hook_that_an_older_host_lacks_as_optional():
    made = plugin(alicia_action_types=lambda info: ())
    made.alicia_tides = hookimpl(lambda: (), optionalhook=True)
    assert PluginHooks("lamp", made, Specs, GOING).warnings == []


async def test_a_warning_is_on_the_record_of_the_plugin(cage, monkeypatch):
    from alicia_scheduler.host import loading

    class Warned(PluginHooks):
        def __init__(self, name, plugin):
            going = Going(hooks={"alicia_stores": "there is one store"})
            super().__init__(name, plugin, going=going)

    monkeypatch.setattr(loading, "PluginHooks", Warned)
    cage.install("old", HERE.joinpath("plugin_1_0.py").read_text())
    async with cage.running() as host:
        old = cage.records["old"]
        assert old.status == "active"
        assert old.warnings == ["the hook alicia_stores will go away: there is one store"]
        shown = host.plugins.show("old")["plugin"]
        assert shown["warnings"] == old.warnings
        assert "pip install --upgrade" in shown["advice"]


def test_a_deprecated_field_of_a_descriptor_warns_where_it_is_used():
    from dataclasses import dataclass, field

    from alicia_scheduler.host.loading import _deprecated_fields
    from alicia_scheduler.host.record import Contributions

    @dataclass(frozen=True, kw_only=True)
    class Coloured(ActionType):
        colour: str = field(default="", metadata={"deprecated": "lamps have one now"})

    used = Coloured(name="lamp.a", config=int, open=int, colour="red")
    unused = Coloured(name="lamp.b", config=int, open=int)
    assert _deprecated_fields(Contributions(action_types=[used, unused])) == [
        "the action type 'lamp.a' sets 'colour': lamps have one now"
    ]
