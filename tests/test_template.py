"""The template of a plugin: what it makes is right at once, whichever tool renders it, and can
follow it later. The proof of each kind is in the slow tier."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.first_plugin import NEEDED, FirstPlugin, build_wheel

from alicia_scheduler.api import ConfigError
from alicia_scheduler.cli.main import main
from alicia_scheduler.plugintemplate import KINDS, LICENCES, Answers, render, write

ROOT = Path(__file__).parent.parent
BIN = Path(sys.executable).parent
PATIENCE = 300

CHOICES = [
    pytest.param(kinds, id="+".join(kinds)) for kinds in (*((kind,) for kind in KINDS), KINDS)
]
ANSWERS = [
    Answers(plugin="x", kinds=KINDS, licence="Private"),
    Answers(
        plugin="wake_up_the_machines",
        kinds=KINDS,
        distribution="a-very-long-name-of-a-distribution-of-40",
        description="d" * 80,
        author="Zoë O'Hara <zoe@example.org>",
        licence="ISC",
    ),
    *(Answers(plugin="lamp", kinds=(kind,), licence="BSD-3-Clause") for kind in KINDS),
]


def run(*command, cwd):
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=os.environ
        | {
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_SYSTEM": os.devnull,
            **{f"GIT_{who}_NAME": "Tester" for who in ("AUTHOR", "COMMITTER")},
            **{f"GIT_{who}_EMAIL": "tester@example.org" for who in ("AUTHOR", "COMMITTER")},
        },
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, f"{command}:\n{done.stdout}\n{done.stderr}"
    return done.stdout


def template_in(folder):
    """The repository's template alone, as copier reads it."""
    folder.mkdir()
    shutil.copy(ROOT / "copier.yml", folder)
    shutil.copytree(ROOT / "plugin_template", folder / "plugin_template")
    return folder


def content_of(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and ".git" not in path.relative_to(folder).parts
    }


# -- what is rendered --------------------------------------------------------------------


@pytest.mark.parametrize(
    "answers", ANSWERS, ids=lambda answers: f"{answers.plugin}-{answers.kinds}"
)
def test_a_project_is_as_ruff_wants_it_whatever_its_names(answers, tmp_path):
    write(render(answers, version="0.1.0"), tmp_path)
    run(BIN / "ruff", "check", "--no-cache", ".", cwd=tmp_path)
    run(BIN / "ruff", "format", "--no-cache", "--check", ".", cwd=tmp_path)


@pytest.mark.parametrize("kinds", CHOICES)
def test_a_project_has_what_its_kinds_need_and_no_more(kinds):
    files = render(Answers(plugin="lamp", kinds=kinds), version="0.1.0")
    for kind in KINDS:
        expected = kind in kinds
        assert (f"src/alicia_lamp/{kind}.py" in files) is expected
        assert (f"tests/test_{kind}.py" in files) is expected
    assert {
        "pyproject.toml", "README.md", "CHANGELOG.md", "LICENSE", ".gitignore",
        ".github/workflows/ci.yml", "src/alicia_lamp/py.typed", "tests/test_plugin.py",
    } <= files.keys()  # fmt: skip


@pytest.mark.parametrize("licence", LICENCES)
def test_nothing_of_the_template_is_left_in_a_project(licence):
    files = render(Answers(plugin="lamp", kinds=KINDS, licence=licence), version="0.1.0")
    for name, content in files.items():
        text = content.decode()
        if name.endswith("ci.yml"):
            text = text.replace("${{ matrix.python }}", "")
        assert "{{" not in text
        assert "{%" not in text
        assert "jinja" not in name


def test_the_core_that_a_project_asks_for_is_this_one():
    major = render(Answers(plugin="lamp"), version="0.1.0")["pyproject.toml"].decode()
    ours = (ROOT / "plugins/sink-log/pyproject.toml").read_text()
    wanted = next(line for line in ours.splitlines() if '"alicia-scheduler>=' in line)
    assert wanted in major


# -- copier and we -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def asked():
    """The questions as copier has them."""
    import yaml

    return yaml.safe_load((ROOT / "plugin_template/questions.yml").read_text())


def test_both_ask_the_same(asked):
    assert [name for name, question in asked.items() if question.get("when", True)] == list(
        Answers(plugin="lamp").asked()
    )
    assert tuple(asked["kinds"]["choices"]) == KINDS
    assert tuple(asked["licence"]["choices"]) == LICENCES


@pytest.mark.parametrize("answers", [ANSWERS[1], Answers(plugin="lamp")], ids=["all", "defaults"])
def test_both_render_the_same(answers, tmp_path):
    import copier
    import yaml

    given = {k: v for k, v in answers.asked().items() if v != getattr(Answers(plugin="lamp"), k)}
    template = template_in(tmp_path / "template")
    copier.run_copy(
        str(template),
        tmp_path / "copied",
        {"plugin": answers.plugin, **given, "kinds": list(answers.kinds)},
        defaults=True,
        quiet=True,
    )
    theirs, ours = content_of(tmp_path / "copied"), render(answers, version="0.1.0")
    remembered = [yaml.safe_load(files.pop(".copier-answers.yml")) for files in (theirs, ours)]
    assert theirs == ours
    assert remembered[0].pop("_src_path") == str(template)
    assert remembered[0] == remembered[1]


@pytest.mark.parametrize(
    ("question", "value"),
    [
        ("plugin", "Lamp"),
        ("plugin", "lamp-post"),
        ("plugin", "l" * 21),
        ("distribution", "alicia_lamp"),
        ("distribution", "alicia-scheduler"),
        ("description", 'say "on"'),
        ("author", "two\nlines"),
    ],
)
def test_both_refuse_the_same_answers(question, value, tmp_path):
    import copier

    answers = {"plugin": "lamp", question: value}
    with pytest.raises(ConfigError) as refused:
        Answers(**answers)
    assert refused.value.path == (question,)
    template = template_in(tmp_path / "template")
    with pytest.raises(ValueError, match=question):
        copier.run_copy(str(template), tmp_path / "copied", answers, defaults=True, quiet=True)


def test_a_project_follows_a_newer_template_and_keeps_what_was_written(tmp_path):
    repository = template_in(tmp_path / "template")

    def release(tag):
        run("git", "add", "--all", cwd=repository)
        run("git", "commit", "--quiet", "--message", tag, cwd=repository)
        run("git", "tag", tag, cwd=repository)

    run("git", "init", "--quiet", cwd=repository)
    release("v0.1.0")
    project = tmp_path / "project"
    made = CliRunner().invoke(
        main,
        ["plugins", "new", "lamp", "--yes", "--to", str(project), "--source", str(repository)],
    )
    assert made.exit_code == 0, made.output
    action = project / "src/alicia_lamp/action.py"
    action.write_text(action.read_text().replace("LONGEST = 4096", "LONGEST = 80"))
    project.joinpath("README.md").write_text(
        project.joinpath("README.md").read_text().replace("Sends a line", "Switches a lamp")
    )
    run("git", "init", "--quiet", cwd=project)
    run("git", "add", "--all", cwd=project)
    run("git", "commit", "--quiet", "--message", "a lamp", cwd=project)

    source = repository / "plugin_template/project"
    for name, old, new in (
        ("pyproject.toml.jinja", '"trio>=0.26"', '"trio>=0.30"'),
        ("README.md.jinja", "## Work on it", "## Develop"),
    ):  # fmt: skip
        path = source / name
        path.write_text(path.read_text().replace(old, new))
    source.joinpath("SECURITY.md.jinja").write_text("Write to {{ author }}.\n")
    release("v0.2.0")

    run(BIN / "copier", "update", "--defaults", "--quiet", cwd=project)
    files = {name: content.decode() for name, content in content_of(project).items()}
    assert "LONGEST = 80" in files["src/alicia_lamp/action.py"]
    assert "Switches a lamp" in files["README.md"]
    assert "## Develop" in files["README.md"]
    assert '"trio>=0.30"' in files["pyproject.toml"]
    assert files["SECURITY.md"] == "Write to The authors of alicia-lamp.\n"
    assert "_commit: v0.2.0" in files[".copier-answers.yml"]
    assert not [name for name, text in files.items() if "<<<<" in text or name.endswith(".rej")]


# -- the command -------------------------------------------------------------------------


def new(*arguments, typed=None):
    return CliRunner().invoke(main, ["plugins", "new", *arguments], input=typed)


def test_new_asks_for_what_is_not_given(tmp_path):
    typed = "\n".join(["sink, service", "lamp-post", "Tells the lamp.", "", "ISC"]) + "\n"
    answer = new("lamp", "--to", str(tmp_path / "lamp"), typed=typed)
    assert answer.exit_code == 0, answer.output
    files = content_of(tmp_path / "lamp")
    assert {"src/lamp_post/sink.py", "src/lamp_post/service.py"} <= files.keys()
    assert b"Copyright (c) The authors of lamp-post" in files["LICENSE"]
    assert b'description = "Tells the lamp."' in files["pyproject.toml"]


def test_new_says_what_comes_next(tmp_path):
    folder = tmp_path / "lamp"
    assert f"cd {folder}\n  pip install -e '.[test]'" in new("lamp", "--yes", "--to", folder).output


def test_new_touches_no_folder_that_has_something(tmp_path):
    tmp_path.joinpath("notes").write_text("mine")
    answer = new("lamp", "--yes", "--to", str(tmp_path))
    assert answer.exit_code == 1
    assert "exists and is not empty" in answer.output
    assert content_of(tmp_path) == {"notes": b"mine"}


def test_new_names_the_question_that_a_bad_answer_is_for(tmp_path):
    answer = new("Lamp", "--yes", "--to", str(tmp_path / "lamp"))
    assert answer.exit_code == 2
    assert "plugin: 'Lamp' is no name" in answer.output
    assert not (tmp_path / "lamp").exists()


def test_new_without_jinja_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "jinja2", None)
    answer = new("lamp", "--yes", "--to", str(tmp_path / "lamp"))
    assert answer.exit_code == 1
    assert "pip install 'alicia-scheduler[testing]'" in answer.output


# -- the proof ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def wheels(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheels")
    return [build_wheel(ROOT / project, folder) for project in NEEDED]


def test_the_wheel_of_the_core_brings_the_whole_template(wheels):
    place = "alicia_scheduler/plugintemplate/project/"
    packed = {
        name.removeprefix(place)
        for name in zipfile.ZipFile(wheels[0]).namelist()
        if name.startswith(place)
    }
    assert packed == content_of(ROOT / "plugin_template/project").keys()


def prove(plugin):
    """Make it, install it, and hold what a first plugin is promised to be."""
    plugin.make()
    plugin.install()
    record = plugin.listed()
    assert (record["status"], record["distribution"]) == ("active", "alicia-lamp")
    assert " passed" in plugin.run_tests()
    assert plugin.check() == []
    done = [each for each in plugin.work() if each["event_id"] == "lamp"]
    assert "completed" in {each["status"] for each in done}
    return done


def test_a_first_plugin_is_found_tested_and_at_work_in_a_clean_environment(wheels, tmp_path):
    done = prove(FirstPlugin(["action"], tmp_path, wheels))
    assert {"answer": "ok"} in [each["result"] for each in done]


@pytest.mark.slow
@pytest.mark.parametrize("kinds", CHOICES)
def test_a_plugin_of_any_kind_is_at_work_where_pip_has_installed_everything(
    kinds, wheels, tmp_path
):
    plugin = FirstPlugin(kinds, tmp_path, wheels, offline=False)
    prove(plugin)
    if "schedule" in kinds:
        assert plugin.known_events()["monthly"]["next_run"] is not None
    plugin.check_types()
