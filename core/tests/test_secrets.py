"""Secrets: where they come from, and that they are taken out of what is told."""

import json
import logging
import os
import urllib.parse

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from alicia_scheduler.api import Permanent
from alicia_scheduler.config.document import Document
from alicia_scheduler.config.load import configuration
from alicia_scheduler.config.secrets import SecretSource
from alicia_scheduler.host.secrets.redaction import HEAD, RedactingFormatter, Redactor
from alicia_scheduler.host.secrets.vault import SecretMissing, Secrets
from alicia_scheduler.kernel.attempt import ERROR_LIMIT, attempt, time_limit
from alicia_scheduler.testing.kernel import make_event


def source(**where):
    return {"token": SecretSource(**where)}


def missing(secrets, name="token"):
    with pytest.raises(SecretMissing) as caught:
        secrets.read(name)
    return str(caught.value)


@pytest.fixture
def secrets_file(tmp_path):
    def write(text, mode=0o600):
        file = tmp_path / "secrets.toml"
        file.write_text(text)
        file.chmod(mode)
        return Secrets({}, tmp_path)

    return write


# -- where they come from --------------------------------------------------------------------


async def test_a_secret_comes_from_the_environment():
    secrets = Secrets(source(env="TOKEN"), environ={"TOKEN": "from env"})
    assert await secrets.get("token") == "from env"


async def test_a_secret_comes_from_a_file_relative_to_the_configuration(tmp_path):
    tmp_path.joinpath("token.txt").write_text("from file\n")
    assert await Secrets(source(file="token.txt"), tmp_path).get("token") == "from file"


async def test_a_secret_comes_from_a_credential_of_systemd(tmp_path):
    tmp_path.joinpath("tok").write_text("from systemd")
    environ = {"CREDENTIALS_DIRECTORY": str(tmp_path)}
    secrets = Secrets(source(credential="tok"), environ=environ)
    assert await secrets.get("token") == "from systemd"


async def test_a_name_that_is_not_declared_is_looked_up_in_secrets_toml(secrets_file):
    assert await secrets_file('token = "from toml"').get("token") == "from toml"


async def test_each_use_reads_anew(tmp_path):
    file = tmp_path / "token.txt"
    secrets = Secrets(source(file="token.txt"), tmp_path)
    file.write_text("first")
    assert await secrets.get("token") == "first"
    file.write_text("second")
    assert await secrets.get("token") == "second"


# -- what is refused, with the fix -----------------------------------------------------------


def test_a_missing_variable_names_itself_and_the_fix():
    said = missing(Secrets(source(env="TOKEN"), environ={}))
    assert "no 'TOKEN' (set TOKEN for the process that runs alicia)" in said


def test_a_missing_file_names_its_path(tmp_path):
    said = missing(Secrets(source(file="nowhere.txt"), tmp_path))
    assert f"{tmp_path / 'nowhere.txt'}: No such file" in said


def test_without_credentials_the_unit_is_to_be_mended():
    said = missing(Secrets(source(credential="tok"), environ={}))
    assert "LoadCredential=tok:PATH" in said


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_secrets_toml_that_others_may_read_is_refused(secrets_file, tmp_path, mode):
    said = missing(secrets_file('token = "value"', mode))
    assert "open to other users" in said
    assert f"chmod 600 {tmp_path / 'secrets.toml'}" in said
    assert "value" not in said


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a file away")
def test_secrets_toml_of_another_user_is_refused(secrets_file, tmp_path):
    secrets = secrets_file('token = "value"')
    os.chown(tmp_path / "secrets.toml", 12345, -1)
    assert "belongs to another user" in missing(secrets)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('token = "val\nue"', "is not TOML"),
        ("token = 123456", "is not text (put it in quotes)"),
        ('token = ""', "is empty"),
        ('tokn = "value"', "there is no secret 'token'"),
    ],
)
def test_secrets_toml_that_is_wrong_is_refused_without_its_content(secrets_file, text, why):
    said = missing(secrets_file(text))
    assert why in said
    assert "val" not in said.replace("a value", "")
    assert "123456" not in said


def test_a_near_name_is_suggested(secrets_file):
    secrets = secrets_file('mqtt-password = "value"')
    assert "did you mean 'mqtt-password'?" in missing(secrets, "mqtt-pasword")


def test_a_binary_or_huge_secret_is_refused(tmp_path):
    tmp_path.joinpath("t").write_bytes(b"\xff\xfe")
    assert "not UTF-8" in missing(Secrets(source(file="t"), tmp_path))
    tmp_path.joinpath("t").write_text("x" * 70_000)
    assert "more than 64 KiB" in missing(Secrets(source(file="t"), tmp_path))


@pytest.mark.parametrize(
    ("table", "why"),
    [
        ('x = "s3cret"', "must not stand in the configuration"),
        ("x = { }", "must name one place"),
        ('x = { env = "A", file = "b" }', "must name one place"),
        ('x = { envv = "A" }', "did you mean 'env'?"),
        ('x = { env = "A=s3cret" }', "holds NUL or ="),
        ('x = { credential = "../s3cret" }', "cannot be the name of a credential"),
        ("x = { env = 3 }", "must be text"),
        ('"a b" = { env = "A" }', "cannot be the name of a secret"),
    ],
)
def test_the_table_of_secrets_names_each_mistake_and_never_a_value(table, why):
    loaded = configuration(Document.parse(f"[secrets]\n{table}\n"))
    (issue,) = loaded.issues
    assert why in str(issue)
    assert issue.line == 2
    if "credential" not in table:
        assert "s3cret" not in str(issue)


# -- redaction -------------------------------------------------------------------------------


def redactor(*values):
    made = Redactor()
    for value in values:
        made.learn(value)
    return made


def test_a_known_value_is_taken_out_of_text_and_data():
    keeper = redactor("hunter22")
    assert keeper.text("password hunter22!") == "password ***!"
    assert keeper.data({"hunter22": ["a hunter22", 3, None, {"b": "hunter22"}]}) == {
        "***": ["a ***", 3, None, {"b": "***"}]
    }


def test_values_of_fewer_than_four_characters_are_left_alone():
    assert redactor("abc").text("abc") == "abc"


def test_a_number_that_is_a_secret_is_taken_out():
    assert redactor("123456").data({"pin": 123456, "more": 1234567}) == {
        "pin": "***",
        "more": 1234567,
    }


def test_a_value_that_was_replaced_is_still_taken_out():
    assert redactor("old value", "new value").text("old value, new value") == "***, ***"


def test_of_two_values_that_begin_alike_the_longer_is_taken_out_wholly():
    assert redactor("secret", "secret-longer").text("secret-longer secret") == "*** ***"


@pytest.mark.parametrize(
    "spelt",
    [
        json.dumps,
        lambda value: json.dumps(value, ensure_ascii=False),
        repr,
        urllib.parse.quote,
        urllib.parse.quote_plus,
    ],
)
def test_common_spellings_are_taken_out(spelt):
    value = 'pä"ss\\wörd & more/'
    assert redactor(value).text(f"<{spelt(value)}>").strip("<>\"'") == "***"


def test_a_single_line_of_a_key_is_taken_out():
    key = "-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC\n-----END KEY-----\n"
    assert redactor(key).text("line 2: MIIEvQIBADANBgkqhkiG9w0BAQEFAASC") == "line 2: ***"


SECRET = st.text(st.characters(codec="utf-8"), min_size=HEAD, max_size=60)


@given(SECRET, st.text(), st.text(), st.integers(HEAD, 60))
def test_no_part_of_a_secret_stays_even_when_its_end_was_cut_off(value, before, after, length):
    part = value[: max(HEAD, length)]
    assume(part not in before + after)
    told = redactor(value).text(before + part + after)
    assert part not in told


@given(SECRET, st.text(), st.text(), st.integers(HEAD, 60))
def test_no_part_of_a_secret_stays_even_when_its_beginning_was_cut_off(
    value, before, after, length
):
    part = value[-max(HEAD, length) :]
    assume(part not in before + after)
    told = redactor(value).text(before + part + after)
    assert part not in told


def test_what_is_left_of_a_value_goes_wholly():
    value = "a-long-secret-that-a-flood-cuts-in-two"
    assert redactor(value).text(f"…{value[5:]}\n{value}") == "…***\n***"


async def test_no_part_of_a_secret_stands_where_an_error_is_cut():
    class Types:
        redact = redactor("hunter22").data

        async def run_action(self, prepared, execution):
            raise Permanent("x" * (ERROR_LIMIT - 4) + "hunter22" + "y" * 100)

    event = make_event()
    outcome = await attempt(Types(), event, None, None, time_limit(event))
    assert outcome.error == "x" * (ERROR_LIMIT - 4) + "***y"


def test_a_log_record_is_told_without_secrets_also_in_its_traceback():
    formatter = RedactingFormatter(logging.Formatter("%(message)s"), redactor("hunter22"))
    try:
        raise ValueError("no hunter22 here")
    except ValueError:
        import sys

        record = logging.LogRecord(
            "x", logging.ERROR, "f", 1, "failed with %s", ("hunter22",), sys.exc_info()
        )
    told = formatter.format(record)
    assert "failed with ***" in told
    assert "ValueError: no *** here" in told
    assert "hunter22" not in told
