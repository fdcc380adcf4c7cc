"""Reading a crontab: what each line becomes, and what it cannot become."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alicia_scheduler.cli.crontab import read_crontab


def events(text, **options):
    found = read_crontab(text, home="/home/me", **options)
    assert [str(problem) for problem in found.problems] == []
    return [entry.event for entry in found.entries]


def problem(text, **options):
    found = read_crontab(text, home="/home/me", **options)
    (only,) = found.problems
    return only.why


def action(text, **options):
    (event,) = events(text, **options)
    return event["action"]


# -- schedules -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "expression"),
    [
        ("30 2 * * 1-5 /bin/true", "30 2 * * 1-5"),
        ("*/5\t*\t*  * *\t/bin/true", "*/5 * * * *"),
        ("  0 0 1,15 * mon /bin/true", "0 0 1,15 * mon"),
        ("-0 4 * * * /bin/true", "0 4 * * *"),
        ("@daily /bin/true", "@daily"),
        ("@Midnight /bin/true", "@midnight"),
        ("@every_minute /bin/true", "* * * * *"),
        ("0 0 * jul wed /bin/true", "0 0 * jul wed"),
    ],
)
def test_a_schedule_is_taken_over(line, expression):
    (event,) = events(line)
    assert event["schedule_type"] == "cron"
    assert event["schedule_config"] == {"expression": expression}


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("@reboot /bin/true", "service manager"),
        ("@fortnightly /bin/true", "no nickname"),
        ("0 0 * *", "five fields"),
        ("0 0 * * *", "a command"),
        ("0~59 * * * * /bin/true", "random value"),
        ("H * * * * /bin/true", "Jenkins"),
        ("0 0 L * * /bin/true", "means nothing to cron"),
        ("0 0 * * * %only input", "the command is empty"),
    ],
)
def test_a_line_that_cannot_be_taken_over_says_why(line, why):
    assert why in problem(line)


def test_a_problem_has_the_number_of_its_line_and_stops_nothing():
    found = read_crontab("\n# a\n0 0 * * * /bin/true\n@reboot x\n\n5 5 * * * /bin/false\n")
    assert [entry.line for entry in found.entries] == [3, 6]
    assert [item.line for item in found.problems] == [4]


def test_an_event_behaves_as_a_job_of_cron():
    (event,) = events("0 0 * * * /bin/true")
    assert event["mode"] == "parallel"
    assert event["misfire"] == "skip"
    assert event["max_retries"] == 0
    assert event["action"]["no_new_privs"] is False


# -- commands --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("/bin/echo a b", ["/bin/echo", "a", "b"]),
        ("/bin/echo 'a b' \"c\"", ["/bin/echo", "a b", "c"]),
        (r"/bin/date +\%F", ["/bin/date", "+%F"]),
        ("backup --all", ["backup", "--all"]),
    ],
)
def test_a_plain_command_needs_no_shell(command, words):
    found = action(f"0 0 * * * {command}")
    assert found["command"] == words
    assert "shell" not in found


@pytest.mark.parametrize(
    "command",
    [
        "cd /srv && ./poll",
        "a | b",
        "a > /dev/null 2>&1",
        "echo $HOME",
        "rm *.tmp",
        "ls ~",
        "FOO=bar run",
        "test -x /a || b",
        "echo `date`",
        "a; b",
        "umask 022",
        "echo 'unfinished",
    ],
)
def test_a_command_for_a_shell_gets_one(command):
    found = action(f"0 0 * * * {command}")
    assert found["command"] == command
    assert found["shell"] is True


def test_another_shell_is_a_program_like_any_other():
    found = action("SHELL=/bin/bash\n0 0 * * * a | b")
    assert found["command"] == ["/bin/bash", "-c", "a | b"]
    assert "shell" not in found


@pytest.mark.parametrize(
    ("command", "words", "stdin"),
    [
        ("/bin/cat%hello", ["/bin/cat"], "hello\n"),
        ("/bin/cat%a%b%", ["/bin/cat"], "a\nb\n"),
        (r"/bin/cat%100\%", ["/bin/cat"], "100%\n"),
        (r"/bin/cat \%%x", ["/bin/cat", "%"], "x\n"),
        (r"/bin/cat%\a\\%b", ["/bin/cat"], "\\a\\\\\nb\n"),
        ("/bin/cat", ["/bin/cat"], None),
    ],
)
def test_a_percent_sign_begins_the_standard_input(command, words, stdin):
    found = action(f"0 0 * * * {command}")
    assert found["command"] == words
    assert found.get("stdin") == stdin


def test_braces_are_no_template():
    found = action("0 0 * * * docker ps --format '{{.Names}}'")
    assert found["command"] == "{% raw %}docker ps --format '{{.Names}}'{% endraw %}"
    assert "template" in problem(r"0 0 * * * echo '{{ {\% endraw \%}'")


# -- variables -------------------------------------------------------------------------------


def test_variables_hold_for_the_lines_below_them():
    found = events("A=1\n0 0 * * * /bin/x\nA = \" 2 \"\nB='3'\n0 0 * * * /bin/x\n")
    assert found[0]["action"]["env"] == {"A": "1"}
    assert found[1]["action"]["env"] == {"A": " 2 ", "B": "3"}


def test_a_command_runs_in_the_home_directory():
    assert action("0 0 * * * /bin/x")["cwd"] == "/home/me"
    assert action("HOME=/srv\n0 0 * * * /bin/x")["cwd"] == "/srv"


def test_cron_tz_is_the_time_zone_of_the_lines_below_it():
    found = events("0 0 * * * /bin/x\nCRON_TZ=Europe/Berlin\n0 0 * * * /bin/x")
    assert "timezone" not in found[0]
    assert found[1]["timezone"] == "Europe/Berlin"
    assert "env" not in found[1]["action"]


def test_lines_below_an_unknown_zone_are_not_run_in_another_one():
    found = read_crontab("CRON_TZ=Mars/Olympus\n0 0 * * * /bin/x\nCRON_TZ=UTC\n0 0 * * * /bin/x")
    assert [item.line for item in found.problems] == [1, 2]
    assert [entry.line for entry in found.entries] == [4]


def test_random_delay_is_jitter():
    (event,) = events("RANDOM_DELAY=10\n0 0 * * * /bin/x")
    assert event["jitter"] == 600


def test_mail_is_not_sent_and_that_is_said():
    assert "no mail" in problem("MAILTO=root")
    assert events('MAILTO=""\nMAILFROM=x\nCONTENT_TYPE="text/plain"') == []


# -- names -----------------------------------------------------------------------------------


def test_a_comment_above_a_job_is_its_name():
    (event,) = events("# Nightly backup\n0 0 * * * /bin/backup")
    assert (event["name"], event["event_id"]) == ("Nightly backup", "nightly-backup")


def test_several_comments_are_its_description():
    (event,) = events("# Of the database,\n# Nightly backup\n0 0 * * * /bin/backup")
    assert event["name"] == "Nightly backup"
    assert event["description"] == "Of the database,\nNightly backup"


def test_a_job_that_was_commented_out_is_no_name():
    (event,) = events("#0 5 * * 1 tar -zcf /var/backups/home.tgz /home/\n0 0 * * * /bin/backup")
    assert event["name"] == "/bin/backup"
    assert "description" not in event


def test_a_comment_before_an_empty_line_is_no_name():
    (event,) = events("# m h dom mon dow\n\n0 0 * * * /bin/backup")
    assert event["name"] == "/bin/backup"


def test_ids_are_different():
    found = events("0 0 * * * /bin/x\n0 1 * * * /bin/x\n0 2 * * * /usr/bin/x -a\n")
    assert [event["event_id"] for event in found] == ["x", "x-2", "x-3"]


# -- system crontabs -------------------------------------------------------------------------


def home_of(user):
    return {"root": "/root", "www-data": "/var/www"}.get(user)


def test_a_system_crontab_names_the_user():
    found = action("17 * * * * www-data /bin/x", system=True, home_of=home_of)
    assert (found["user"], found["cwd"]) == ("www-data", "/var/www")
    assert found["command"] == ["/bin/x"]


def test_a_user_that_is_not_there_is_told():
    why = problem("17 * * * * /bin/x --all", system=True, home_of=home_of)
    assert "no user '/bin/x'" in why


# -- anything --------------------------------------------------------------------------------


@given(
    st.text(st.characters(), max_size=300)
    | st.text("*/0123456789 \t\n#@=%\\'\"aHL~-,", max_size=200)
)
def test_every_line_is_an_event_a_problem_or_nothing(text):
    found = read_crontab(text, home="/")
    lines = [entry.line for entry in found.entries] + [item.line for item in found.problems]
    assert len(lines) == len(set(lines))
    ids = [entry.event["event_id"] for entry in found.entries]
    assert len(ids) == len(set(ids))


def test_bytes_that_are_no_text_are_a_problem_of_their_line():
    text = b"0 0 * * * echo \xff\n0 0 * * * /bin/x\n".decode("utf-8", "surrogateescape")
    found = read_crontab(text)
    assert [item.line for item in found.problems] == [1]
    assert [entry.line for entry in found.entries] == [2]
