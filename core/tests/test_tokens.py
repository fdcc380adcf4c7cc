"""Tokens: made, listed and revoked, without a host."""

import json
import stat
import threading
from datetime import UTC, datetime, timedelta

import pytest

from alicia_scheduler.api.control import Permission
from alicia_scheduler.control.tokens import (
    TokenError,
    Tokens,
    create_token,
    list_tokens,
    revoke_token,
)

NOW = datetime.now(UTC)


def test_a_secret_is_256_random_bits_and_shown_once(tmp_path):
    secrets = {create_token(tmp_path, f"t{n}") for n in range(20)}
    assert len(secrets) == 20
    assert all(len(secret.removeprefix("alicia_")) == 43 for secret in secrets)
    text = tmp_path.joinpath("tokens.json").read_text()
    assert not any(secret.removeprefix("alicia_") in text for secret in secrets)


def test_the_file_is_its_owners_alone_from_the_first_byte_on(tmp_path):
    create_token(tmp_path, "one")
    file = tmp_path / "tokens.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    file.chmod(0o644)
    create_token(tmp_path, "two")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert not tmp_path.joinpath("tokens.new").exists()


def test_tokens_can_be_made_before_the_first_start(tmp_path):
    create_token(tmp_path / "not" / "there", "one")
    assert [token.name for token in list_tokens(tmp_path / "not" / "there")] == ["one"]
    assert stat.S_IMODE((tmp_path / "not" / "there").stat().st_mode) == 0o700


def test_a_list_has_everything_but_the_secret(tmp_path):
    create_token(tmp_path, "zoe", Permission.ADMIN, expires_in=60)
    create_token(tmp_path, "ann")
    ann, zoe = list_tokens(tmp_path)
    assert (ann.name, ann.permission, ann.expires) == ("ann", Permission.READ, None)
    assert (zoe.permission, zoe.expires - zoe.created) == (Permission.ADMIN, timedelta(seconds=60))
    assert ann.last_used is None


@pytest.mark.parametrize("name", ["", "a b", "ä", "-a", "x" * 65, "a\n"])
def test_a_name_that_is_none_is_refused(tmp_path, name):
    with pytest.raises(TokenError, match="cannot be the name"):
        create_token(tmp_path, name)


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf"), 1e30])
def test_an_expiry_that_is_none_is_refused(tmp_path, seconds):
    with pytest.raises(TokenError, match="expires"):
        create_token(tmp_path, "one", expires_in=seconds)


def test_a_name_is_given_once(tmp_path):
    create_token(tmp_path, "one")
    with pytest.raises(TokenError, match="already"):
        create_token(tmp_path, "one")
    revoke_token(tmp_path, "one")
    create_token(tmp_path, "one")


def test_what_is_not_there_cannot_be_revoked(tmp_path):
    with pytest.raises(TokenError, match="no token 'one'"):
        revoke_token(tmp_path, "one")


def test_a_host_knows_a_token_by_its_secret_until_it_is_revoked(tmp_path):
    secret = create_token(tmp_path, "one")
    tokens = Tokens(tmp_path)
    token = tokens.of(secret, NOW)
    assert token.name == "one"
    assert tokens.of(secret + "x", NOW) is None
    assert tokens.of(token.digest, NOW) is None
    assert tokens.of("\ud800", NOW) is None
    assert tokens.holds(token, NOW)
    revoke_token(tmp_path, "one")
    assert tokens.of(secret, NOW) is None
    assert not tokens.holds(token, NOW)


def test_a_token_made_anew_under_the_same_name_is_another_one(tmp_path):
    tokens = Tokens(tmp_path)
    former = tokens.of(create_token(tmp_path, "one"), NOW)
    revoke_token(tmp_path, "one")
    create_token(tmp_path, "one")
    assert not tokens.holds(former, NOW)


def test_an_expired_token_does_not_count_but_is_listed(tmp_path):
    secret = create_token(tmp_path, "one", expires_in=60)
    tokens = Tokens(tmp_path)
    token = tokens.of(secret, NOW)
    later = token.expires
    assert tokens.holds(token, later - timedelta(seconds=1))
    assert tokens.of(secret, later) is None
    assert not tokens.holds(token, later)
    assert len(list_tokens(tmp_path)) == 1


def test_a_use_is_noted_once_an_hour(tmp_path):
    secret = create_token(tmp_path, "one")
    tokens = Tokens(tmp_path)
    at = datetime(2026, 1, 1, 12, 34, tzinfo=UTC)
    tokens.note_use(tokens.of(secret, at), at)
    assert list_tokens(tmp_path)[0].last_used == datetime(2026, 1, 1, 12, tzinfo=UTC)
    written = tmp_path.joinpath("tokens.json").stat().st_mtime_ns
    tokens.note_use(tokens.of(secret, at), at + timedelta(minutes=20))
    assert tmp_path.joinpath("tokens.json").stat().st_mtime_ns == written
    tokens.note_use(tokens.of(secret, at), at + timedelta(hours=1))
    assert list_tokens(tmp_path)[0].last_used == datetime(2026, 1, 1, 13, tzinfo=UTC)


def test_changes_at_the_same_time_lose_nothing(tmp_path):
    threads = [
        threading.Thread(target=create_token, args=(tmp_path, f"t{number}")) for number in range(30)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(list_tokens(tmp_path)) == 30


@pytest.mark.parametrize("text", ["", "{", "[1]", '[{"name": "a"}]', "\xff"])
def test_a_damaged_file_is_an_error_that_names_it_and_stays(tmp_path, text):
    file = tmp_path / "tokens.json"
    file.write_text(text)
    for attempt in (
        lambda: list_tokens(tmp_path),
        lambda: create_token(tmp_path, "one"),
        lambda: Tokens(tmp_path).of("x", NOW),
    ):
        with pytest.raises(TokenError, match=r"tokens\.json cannot be read"):
            attempt()
    assert file.read_text() == text


def test_the_file_is_plain_json(tmp_path):
    create_token(tmp_path, "one")
    (kept,) = json.loads(tmp_path.joinpath("tokens.json").read_text())
    assert set(kept) == {"name", "permission", "digest", "created", "expires", "last_used"}
