"""The rules of ``alicia plugins check``: a plugin that keeps them all, and one that breaks each."""

import itertools
import json
import re
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from alicia_scheduler.cli.main import main
from alicia_scheduler.pluginchecks import RULES, address_of, check_distribution

ROOT = Path(__file__).parents[2]

SOURCE = '''
from collections.abc import Iterator
from contextlib import asynccontextmanager

import msgspec
import trio

from alicia_scheduler.api import ActionType, ScheduleType, hookimpl


class WakeOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whom to wake.

    Attributes:
        mac: its address.
    """

    mac: str


class Wake:
    async def run(self, config, execution):
        await trio.sleep(0)


@asynccontextmanager
async def open_wake(context):
    yield Wake()


def build(config, context):
    return None


@hookimpl
def alicia_action_types() -> Iterator[ActionType]:
    yield ActionType(
        name="wol.wake", config=WakeOptions, open=open_wake, summary="wake a machine"
    )
'''

METADATA = """Metadata-Version: 2.4
Name: alicia-wol
Version: 1.0
Summary: Wakes machines.
License-Expression: MIT
Requires-Python: >=3.11
Requires-Dist: alicia-scheduler<1,>=0.1
Requires-Dist: trio>=0.26
Requires-Dist: msgspec

# wol

`wol.wake` wakes a machine.

| option | meaning |
| --- | --- |
| `mac` | its address |
"""

TESTS = "from alicia_scheduler.testing import ActionContract\nclass TestWake(ActionContract): ...\n"

NUMBERS = itertools.count()


@pytest.fixture
def findings(tmp_path, monkeypatch):
    """``findings(source=…, metadata=…, typed=…, tests=…)``: the codes and messages for a plugin
    that is installed for the test."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def check(source=SOURCE, metadata=METADATA, *, typed=True, tests=TESTS):
        package = f"alicia_wol_{next(NUMBERS)}"
        folder = tmp_path / package
        folder.mkdir()
        folder.joinpath("__init__.py").write_text(source)
        if typed:
            folder.joinpath("py.typed").touch()
        info = tmp_path / "alicia_wol-1.0.dist-info"
        info.mkdir()
        info.joinpath("METADATA").write_text(metadata)
        info.joinpath("entry_points.txt").write_text(
            f"[alicia_scheduler.plugins]\nwol = {package}\n"
        )
        project = tmp_path / "project"
        project.joinpath("tests").mkdir(parents=True)
        project.joinpath("tests/test_wol.py").write_text(tests)
        url = {"url": project.as_uri(), "dir_info": {"editable": True}}
        info.joinpath("direct_url.json").write_text(json.dumps(url))
        try:
            report = check_distribution("alicia-wol")
        finally:
            sys.modules.pop(package, None)
        return [(finding.code, finding.message) for finding in report.findings]

    return check


def test_a_plugin_that_keeps_all_rules_has_no_finding(findings):
    assert findings() == []


def changed(old, new):
    assert old in SOURCE
    return {"source": SOURCE.replace(old, new)}


def described(old, new=""):
    assert old in METADATA
    return {"metadata": METADATA.replace(old, new)}


def running(line, head=""):
    return changed("        await trio.sleep(0)\n", f"        {line}\n") | {
        "source": head + SOURCE.replace("        await trio.sleep(0)\n", f"        {line}\n")
    }


BROKEN = {
    "ALP001": ({"source": "import no_such_module_at_all"}, "ModuleNotFoundError"),
    "ALP002": (
        changed("def alicia_action_types()", "def alicia_action_types(wrong)"),
        "wrong",
    ),
    "ALP003": (changed('"wol.wake"', '"tide.wake"'), "outside its namespace"),
    "ALP004": (
        changed("    yield ActionType(", "    return\n    yield ActionType("),
        "offers no type",
    ),
    "ALP101": (changed(", forbid_unknown_fields=True", ""), "options that do not exist"),
    "ALP103": (changed("        mac: its address.\n", ""), "nothing explains WakeOptions.mac"),
    "ALP104": (changed(', summary="wake a machine"', ""), "no summary"),
    "ALP105": (changed("@asynccontextmanager\n", ""), "lacks @asynccontextmanager"),
    "ALP106": (
        {
            "source": SOURCE.replace("def build", "async def build")
            + "\n@hookimpl\ndef alicia_schedule_types():\n"
            "    yield ScheduleType(\n"
            "        name='wol.wake', config=WakeOptions, build=build, summary='x')\n",
            "tests": TESTS + "class TestX(ScheduleContract): ...\n",
        },
        "schedules never wait",
    ),
    "ALP201": (described("License-Expression: MIT\n"), "no licence is named"),
    "ALP202": (described("Requires-Python: >=3.11\n"), "requires-python"),
    "ALP203": (described("Summary: Wakes machines.\n"), "set description"),
    "ALP204": (described("alicia-scheduler<1,>=0.1", "alicia-scheduler>=0.1"), "no upper bound"),
    "ALP205": ({"typed": False}, "py.typed is missing"),
    "ALP206": (described("Requires-Dist: msgspec\n"), "imports msgspec"),
    "ALP301": (
        {"source": "from alicia_scheduler.kernel.clock import SystemClock\n" + SOURCE},
        "imports alicia_scheduler.kernel.clock",
    ),
    "ALP302": (
        {"source": "import time\nwhile time.process_time() < 2.5: pass\n" + SOURCE},
        "of processor time",
    ),
    "ALP303": (
        {"source": "import subprocess\nsubprocess.run(['true'])\n" + SOURCE},
        "does subprocess.Popen",
    ),
    "ALP304": (running("await asyncio.sleep(1)", "import asyncio\n"), "run calls asyncio.sleep"),
    "ALP305": (running("sleep(1)", "from time import sleep\n"), "use trio.sleep"),
    "ALP306": (
        running("try: await trio.sleep(1)\n        except BaseException: pass"),
        "catches BaseException",
    ),
    "ALP307": (running("trio.lowlevel.spawn_system_task(trio.sleep, 1)"), "outlives"),
    "ALP401": (described("`wol.wake` wakes", "It wakes"), "does not name the action type wol.wake"),
    "ALP402": (described("`mac`", "mac"), "does not tell of mac"),
    "ALP501": ({"tests": "def test_nothing(): ..."}, "no test subclasses ActionContract"),
}


@pytest.mark.parametrize("code", sorted(BROKEN))
def test_a_plugin_that_breaks_a_rule_has_that_finding_and_no_other(findings, code):
    plugin, words = BROKEN[code]
    found = findings(**plugin)
    assert [each for each, _ in found] == [code]
    assert words in found[0][1]


def test_each_rule_has_a_plugin_that_breaks_it():
    assert sorted(BROKEN) == sorted(RULES)


@pytest.mark.parametrize(
    ("requirement", "words"),
    [
        ("alicia-scheduler==0.1.0", "exactly"),
        ("alicia-scheduler<1", "no lower bound"),
        ("alicia-scheduler", "no lower bound"),
        ("trio", "does not require alicia-scheduler"),
    ],
)
def test_a_range_of_the_core_has_two_ends(findings, requirement, words):
    found = findings(**described("alicia-scheduler<1,>=0.1", requirement))
    assert [code for code, _ in found] == ["ALP204"]
    assert words in found[0][1]


@pytest.mark.parametrize("requirement", ["alicia-scheduler~=0.1", "alicia_scheduler[x]>=0.1,<1"])
def test_other_spellings_of_a_range_are_fine(findings, requirement):
    assert findings(**described("alicia-scheduler<1,>=0.1", requirement)) == []


def test_what_is_handed_to_run_asyncio_may_use_asyncio(findings):
    source = "import asyncio\nasync def fetch():\n    await asyncio.sleep(1)\n" + SOURCE.replace(
        "await trio.sleep(0)", "await self.context.run_asyncio(fetch)"
    )
    assert findings(source=source) == []


def test_a_blocking_call_in_a_function_for_a_thread_is_fine(findings):
    source = "import time\n" + SOURCE.replace(
        "await trio.sleep(0)", "await trio.to_thread.run_sync(lambda: time.sleep(1))"
    )
    assert findings(source=source) == []


# -- ours, the command, the documentation ----------------------------------------------------


def run(*arguments):
    return CliRunner().invoke(main, ["plugins", "check", *arguments])


@pytest.mark.parametrize("folder", sorted(path.name for path in (ROOT / "plugins").iterdir()))
def test_our_own_plugins_keep_all_rules(folder):
    report = check_distribution(f"alicia-{folder}")
    assert [str(finding) for finding in report.findings] == []
    assert report.unseen == ()


def test_the_command_says_that_there_is_nothing_and_exits_with_0():
    done = run("alicia-schedule-once")
    assert (done.exit_code, done.output) == (0, "alicia-schedule-once 0.1.0: no findings\n")


def test_the_command_tells_each_finding_with_its_address_and_exits_with_1(findings):
    findings(**described("License-Expression: MIT\n"))
    done = run("alicia-wol")
    assert done.exit_code == 1
    assert "ALP201 no licence is named" in done.output
    assert f"see {address_of('ALP201')}" in done.output
    assert "1 finding\n" in done.output


def test_the_command_speaks_json(findings):
    findings(typed=False)
    report = json.loads(run("alicia-wol", "--json").output)
    (finding,) = report["findings"]
    assert finding["code"] == "ALP205"
    assert finding["documentation"] == "docs/reference/plugin-rules.md#alp205"


@pytest.mark.parametrize(
    ("name", "words"), [("no-such-plugin", "is installed here"), ("pluggy", "no entry point")]
)
def test_what_is_no_plugin_is_a_wrong_argument(name, words):
    done = run(name)
    assert done.exit_code == 2
    assert words in done.output


def test_tests_that_cannot_be_seen_are_told(findings, tmp_path):
    findings()
    (tmp_path / "alicia_wol-1.0.dist-info/direct_url.json").unlink()
    assert "not looked at: its tests" in run("alicia-wol").output


def test_each_rule_has_its_heading_with_its_summary_in_the_documentation():
    page = (ROOT / "docs/reference/plugin-rules.md").read_text()
    told = dict(re.findall(r"^### (ALP\d{3})\n\n\*\*(.*)\.\*\*$", page, re.MULTILINE))
    assert told == {code: rule.summary for code, rule in RULES.items()}
    assert {address_of(code) for code in RULES} == {
        f"docs/reference/plugin-rules.md#{code.lower()}" for code in told
    }
