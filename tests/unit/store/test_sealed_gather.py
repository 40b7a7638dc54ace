"""Gathering: made once, given when asked for, all or nothing."""

from pathlib import Path

import pytest

from installer.core.errors import ExitCode, InstallError
from installer.core.secrets import SecretSource, SecretText, refusal
from installer.store.sealed import SealedSecrets
from installer.store.sealed_gather import Gathered, gather, gather_async, refuse_values_in
from installer.store.sealed_key import Recipients, checked_passphrase
from tests.unit.store.sealing import MADE_AND_GIVEN, StandingClock, declaration

GIVEN = {"registry-login": SecretText("user:password"), "push-key": SecretText("line\nline two")}


@pytest.fixture
def sealed(path: Path, key: Recipients) -> SealedSecrets:
    return SealedSecrets.create(path, key, clock=StandingClock())


def reopened(path: Path, key: Recipients) -> SealedSecrets:
    return SealedSecrets.open(path, key, clock=StandingClock())


def test_all_that_is_declared_is_there_and_sealed(
    sealed: SealedSecrets, path: Path, key: Recipients
) -> None:
    gathered = gather(MADE_AND_GIVEN, sealed, GIVEN)
    assert gathered == Gathered(
        made=("redis-password", "signing-key"), given=("registry-login", "push-key")
    )
    opened = reopened(path, key)
    for item in MADE_AND_GIVEN:
        assert refusal(item, opened.value(item.name)) == ""
        assert opened.entry(item.name).source is item.source
    assert opened.value("registry-login") == "user:password"


def test_a_second_time_changes_nothing(sealed: SealedSecrets, path: Path, key: Recipients) -> None:
    gather(MADE_AND_GIVEN, sealed, GIVEN)
    before, values = path.read_bytes(), {name: sealed.value(name) for name in sealed.names}
    opened = reopened(path, key)
    assert gather(MADE_AND_GIVEN, opened, {}) == Gathered()
    assert gather(MADE_AND_GIVEN, opened, GIVEN) == Gathered()
    assert path.read_bytes() == before
    assert {name: opened.value(name) for name in opened.names} == values


def test_a_secret_that_is_new_in_this_version_is_added(
    sealed: SealedSecrets, path: Path, key: Recipients
) -> None:
    gather(MADE_AND_GIVEN, sealed, GIVEN)
    redis = sealed.value("redis-password")
    more = (*MADE_AND_GIVEN, declaration("turn-secret"))
    assert gather(more, sealed, {}) == Gathered(made=("turn-secret",))
    assert reopened(path, key).value("redis-password") == redis


def test_everything_missing_is_told_at_once_and_nothing_is_written(
    sealed: SealedSecrets, path: Path
) -> None:
    with pytest.raises(InstallError) as caught:
        gather(MADE_AND_GIVEN, sealed, {})
    assert caught.value.code == "GIVEN-SECRETS-MISSING"
    assert caught.value.exit_code is ExitCode.SETTINGS
    for name in ("registry-login", "push-key"):
        assert name in caught.value.cause
        assert f"--secret {name}=@FILE" in caught.value.remedy
        assert f"purpose of {name}" in " ".join(caught.value.evidence)
    assert "redis-password" not in caught.value.cause
    assert sealed.names == frozenset()
    assert not path.exists()


def test_one_of_a_wrong_form_stops_all_and_is_not_repeated(
    sealed: SealedSecrets, path: Path
) -> None:
    wrong = SecretText("wrong-signing-key")
    with pytest.raises(InstallError) as caught:
        gather(MADE_AND_GIVEN, sealed, GIVEN | {"signing-key": wrong, "unheard": wrong})
    assert caught.value.code == "GIVEN-SECRET-REFUSED"
    assert "signing-key" in caught.value.cause
    assert "unheard" in caught.value.cause
    assert "wrong-signing-key" not in str(caught.value)
    assert sealed.names == frozenset()
    assert not path.exists()


def test_one_that_would_be_made_may_be_given_and_replaced(
    sealed: SealedSecrets, path: Path, key: Recipients
) -> None:
    first, second = SecretText("a" * 32), SecretText("b" * 32)
    assert gather([declaration("one")], sealed, {"one": first}) == Gathered(given=("one",))
    gathered = gather([declaration("one")], sealed, {"one": second})
    assert gathered == Gathered(given=("one",), replaced=("one",))
    entry = reopened(path, key).entry("one")
    assert entry.source is SecretSource.GIVEN
    assert [value.reveal() for value, _ in entry.previous] == ["a" * 32]


async def test_sealing_in_a_child_gives_the_same(
    sealed: SealedSecrets, path: Path, key: Recipients
) -> None:
    gathered = await gather_async(MADE_AND_GIVEN, sealed, GIVEN)
    assert gathered.made == ("redis-password", "signing-key")
    assert reopened(path, key).names == {item.name for item in MADE_AND_GIVEN}


def test_two_meanings_of_one_name_are_a_defect(sealed: SealedSecrets) -> None:
    twice = [declaration("one"), declaration("one", source=SecretSource.GIVEN)]
    with pytest.raises(ValueError, match="declared twice"):
        gather(twice, sealed, {})


def test_a_plan_that_shows_a_value_is_refused(sealed: SealedSecrets) -> None:
    gather(MADE_AND_GIVEN, sealed, GIVEN | {"registry-login": SecretText("production")})
    refuse_values_in({"steps": [{"targets": ["StatefulSet/other/redis"]}]}, sealed)
    with pytest.raises(InstallError, match="SECRET-IS-A-WORD") as caught:
        refuse_values_in({"steps": [{"targets": ["StatefulSet/production-redis/x"]}]}, sealed)
    assert "registry-login" in caught.value.cause
    assert "push-key" not in caught.value.cause


def test_a_plan_that_shows_the_passphrase_is_refused(path: Path) -> None:
    phrase = checked_passphrase("example.org")
    sealed = SealedSecrets.create(path, phrase, clock=StandingClock())
    with pytest.raises(InstallError, match="SECRET-IS-A-WORD") as caught:
        refuse_values_in(["https://example.org:6443"], sealed)
    assert "the passphrase" in caught.value.cause
