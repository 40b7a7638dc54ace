"""The store: versions, history, and what is left after a crash."""

from pathlib import Path
from typing import Any

import pytest

from installer.rehearsal.kube import store as module
from installer.rehearsal.kube.store import FIRST_VERSION, Change, Store

KEY = ("configmaps.", "ns", "a")


def _obj(value: str, name: str = "a") -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": "ns"}, "data": {"x": value}}


def _data(store: Store, key: tuple[str, str, str] = KEY) -> Any:
    stored = store.get(key)
    return stored.obj["data"]["x"] if stored is not None else None


def test_versions_rise_and_history_is_kept() -> None:
    store = Store(None)
    heard: list[Change] = []
    stop = store.listen(heard.append)
    first = store.put(KEY, _obj("1"))
    store.put(KEY, _obj("2"))
    store.remove(KEY)
    stop()
    store.put(KEY, _obj("3"))
    assert [change.version for change in heard] == [FIRST_VERSION + n for n in (1, 2, 3)]
    assert [change.after is None for change in heard] == [False, False, True]
    then = store.items_at("configmaps.", None, first.version)
    assert then is not None
    assert [item.obj["data"]["x"] for item in then] == ["1"]
    store.compact()
    assert store.items_at("configmaps.", None, first.version) is None


def test_everything_answered_is_there_after_a_crash(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.put(KEY, _obj("1"))
    store.put(("configmaps.", "ns", "b"), _obj("1", "b"))
    store.put(KEY, _obj("2"))
    store.remove(("configmaps.", "ns", "b"))
    again = Store(tmp_path)  # The first was never closed.
    assert (again.version, _data(again)) == (store.version, "2")
    assert len(again.items("configmaps.")) == 1
    assert again.oldest == again.version
    for one in (store, again):
        one.close()


def test_a_torn_last_line_was_never_answered(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.put(KEY, _obj("1"))
    store.close()
    log = tmp_path / "objects.log"
    whole = log.read_bytes()
    for length in range(len(whole)):
        log.write_bytes(whole[:length])
        again = Store(tmp_path)
        assert _data(again) in (None, "1") if length == len(whole) - 1 else _data(again) is None
        again.close()
        (tmp_path / "objects.json").unlink()


def test_the_log_is_folded_into_a_snapshot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOG_LINES", 10)
    store = Store(tmp_path)
    for number in range(25):
        store.put(KEY, _obj(str(number)))
    assert len((tmp_path / "objects.log").read_bytes().splitlines()) < 10
    again = Store(tmp_path)
    assert (again.version, _data(again)) == (store.version, "24")
    for one in (store, again):
        one.close()


def test_files_are_for_the_owner_alone(tmp_path: Path) -> None:
    store = Store(tmp_path / "rehearsal")
    store.put(KEY, _obj("1"))
    store.close()
    modes = {path.name: oct(path.stat().st_mode & 0o777) for path in tmp_path.rglob("*")}
    assert modes == {"rehearsal": "0o700", "objects.json": "0o600", "objects.log": "0o600"}
