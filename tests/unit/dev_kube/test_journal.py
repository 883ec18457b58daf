"""The durable log: what was acknowledged comes back, what was torn does not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from dev.kube.journal import Journal
from dev.kube.store import Store

MAPS = ("", "configmaps")


def obj(name: str, **data: str) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "default", "uid": f"uid-{name}"}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def journaled(path: Path) -> tuple[Store, Journal]:
    store, journal = Store(), Journal(path)
    journal.load(store)
    store.write_ahead = lambda change: journal.record(change, store)
    return store, journal


def contents(store: Store) -> dict[tuple[str, str], dict[str, Any]]:
    return {key: record.obj for key, record in store.bucket(MAPS).records.items()}


@given(st.lists(st.tuples(st.booleans(), st.sampled_from("abc"), st.text(max_size=3)), max_size=20))
def test_a_reloaded_store_is_the_store(operations: list[tuple[bool, str, str]]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "journal"
        store, journal = journaled(path)
        for put, name, value in operations:
            if put:
                store.put(MAPS, obj(name, value=value))
            elif store.get(MAPS, ("default", name)):
                store.remove(MAPS, ("default", name))
        journal.close()
        again, other = journaled(path)
        assert contents(again) == contents(store)
        assert again.version == store.version
        other.close()


def test_a_torn_last_line_is_forgotten(tmp_path: Path) -> None:
    store, journal = journaled(tmp_path / "journal")
    store.put(MAPS, obj("one"))
    store.put(MAPS, obj("two"))
    journal.close()
    content = (tmp_path / "journal").read_bytes()
    (tmp_path / "journal").write_bytes(content[:-10])
    again, other = journaled(tmp_path / "journal")
    assert [name for _, name in contents(again)] == ["one"]
    again.put(MAPS, obj("three"))
    other.close()
    last, closing = journaled(tmp_path / "journal")
    assert {name for _, name in contents(last)} == {"one", "three"}
    closing.close()


def test_a_busy_object_does_not_make_the_file_grow_for_ever(tmp_path: Path) -> None:
    store, journal = journaled(tmp_path / "journal")
    for number in range(4100):
        store.put(MAPS, obj("busy", n=str(number)))
    assert len((tmp_path / "journal").read_bytes().splitlines()) < 2200
    journal.close()
    again, other = journaled(tmp_path / "journal")
    assert contents(again)["default", "busy"]["data"] == {"n": "4099"}
    other.close()
