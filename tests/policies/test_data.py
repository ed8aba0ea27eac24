"""The data files: what the build has read of them is what is in them, and counts only while it is."""

from __future__ import annotations

import shutil
from pathlib import Path

import orjson
import pytest

from stateward.policies import data

HERE = Path(data.__file__).parent
NAME = "engines/data/etcd.yaml"


@pytest.fixture
def copied(tmp_path, monkeypatch):
    """A package of its own, with all data files and what a build makes of them."""
    for folder in data.FOLDERS:
        shutil.copytree(HERE / folder, tmp_path / folder)
    (tmp_path / data.BUILT).write_bytes(data.build())
    monkeypatch.setattr(data, "_HERE", tmp_path)
    data._built.cache_clear()
    yield tmp_path
    data._built.cache_clear()


@pytest.fixture
def no_yaml(monkeypatch):
    def refused(*_):
        raise AssertionError("YAML is read")

    monkeypatch.setattr(data, "_parsed", refused)


def test_every_file_is_read_at_the_build_and_is_the_same_as_its_yaml(copied):
    for folder in data.FOLDERS:
        names = sorted(path.name for path in (HERE / folder).glob("*.yaml"))
        assert [name for name, _ in data.folder(folder)] == names
        for name in names:
            assert f"{folder}/{name}" in data._built()
            assert repr(data.file(f"{folder}/{name}")) == repr(data.read(HERE / folder / name))


@pytest.mark.usefixtures("copied", "no_yaml")
def test_what_was_built_spares_reading_yaml():
    for folder in data.FOLDERS:
        assert data.folder(folder)
    assert dict(data.parts("engines/data", ("engine",)))["etcd.yaml"] == {"engine": "etcd"}


def test_a_file_that_was_changed_after_the_build_is_read_anew(copied):
    file = copied / NAME
    before = data.file(NAME)
    file.write_text(file.read_text().replace("engine: etcd", "engine: dcte"))
    assert before["engine"] == "etcd"
    assert data.file(NAME) == {**before, "engine": "dcte"}
    assert dict(data.parts("engines/data", ("engine",)))["etcd.yaml"] == {"engine": "dcte"}


def test_a_file_that_came_after_the_build_is_read_and_one_that_went_is_gone(copied):
    (copied / "engines/data/new.yaml").write_text("engine: new\n")
    (copied / NAME).unlink()
    found = dict(data.folder("engines/data"))
    assert found["new.yaml"] == {"engine": "new"}
    assert "etcd.yaml" not in found
    with pytest.raises(FileNotFoundError):
        data.file(NAME)


@pytest.mark.parametrize("content", [None, b"", b'{"engines/data/etcd', b"\xff"])
def test_without_a_build_that_can_be_read_the_yaml_is(copied, content):
    built = data.file(NAME)
    if content is None:
        (copied / data.BUILT).unlink()
    else:
        (copied / data.BUILT).write_bytes(content)
    data._built.cache_clear()
    assert data.file(NAME) == built


@pytest.mark.parametrize("text", ["1: a\n", "a: .inf\n", "a: {true: 1}\n"])
def test_what_json_cannot_say_is_not_built(copied, text):
    (copied / NAME).write_text(text)
    assert NAME not in orjson.loads(data.build())
    assert repr(data.file(NAME)) == repr(data.read(copied / NAME))
