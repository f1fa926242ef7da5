"""``adapt`` where the source model itself is trained: its last blocks, or by reading the target's texts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import headstart
from headstart.errors import UsageError
from headstart.selection.chooser import Choice
from headstart.workflow.adapting import networks, unfrozen, work
from tests.saved_text import save

from .test_rank_texts import sentences


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    """Two tables of sentences, the second as others would write them, and a small encoder."""
    folder = tmp_path_factory.mktemp("texts")
    save(folder / "bert", "bert")
    table = sentences().rename(columns={"review": "text", "stars": "label"})
    table.iloc[::2].to_csv(folder / "a.csv", index=False)
    other = table.iloc[1::2]
    other.assign(text="so what ? " + other["text"] + " they wrote").to_csv(
        folder / "b.csv", index=False
    )
    return folder


@pytest.fixture(autouse=True)
def short(monkeypatch):
    """A few steps are enough to see what happens."""
    monkeypatch.setattr(unfrozen, "FEWEST", 6)
    monkeypatch.setattr(unfrozen, "MOST", 12)


def run(folder, out, **more):
    given = {"source_model": f"transformers:{folder / 'bert'}", "text": "text", "label": "label"}
    return headstart.adapt(folder / "a.csv", folder / "b.csv", out=out, **{**given, **more})


def weights(result):
    return (result.folder / "model" / "model.safetensors").read_bytes()


def kept(monkeypatch):
    """The adaptation that runs next, with its rows."""
    seen = []
    conclude = work.judge.conclude

    def recorded(own, head):
        seen.append(own)
        return conclude(own, head)

    monkeypatch.setattr(work.judge, "conclude", recorded)
    return seen


def share_right(model, own):
    """The share of the held-out rows that a bundle gets right."""
    rows = [own.target.rows[n] for n in own.test]
    found = model.predict(
        [row.origin if own.data.modality == "image" else row.origin.whole for row in rows]
    )
    return np.mean([one.label == row.label for one, row in zip(found, rows, strict=True)])


def returned(monkeypatch, name):
    """Have one candidate chosen, whatever is expected of it."""

    def choose(facts, seen, asked=(), trusted=False):
        assert name in asked
        return Choice(
            name, dict.fromkeys(seen.keys() - {"source_only"}, 0.01), 0.0, "For the test."
        )

    monkeypatch.setattr(work, "choose", choose)


NAMED = ("coral", "mcc", "dapt", "dapt+self_training")
QUICK = {"dapt": {"epochs": "1"}}


def test_named_methods_train_the_last_layer_and_read_on(texts, tmp_path):
    found = run(
        texts, tmp_path / "run", methods=NAMED, settings=QUICK, unfreeze="auto", evaluate=True
    )
    listed = {one["method"]: one for one in found.summary["candidates"]}
    assert set(listed) == {"coral", "mcc", "mcc@layers.0", "dapt", "dapt+self_training"}
    assert not any(one["failed"] for one in listed.values())
    assert all(one["expected_gain"] is not None for one in listed.values())
    assert set(found.summary["test"]["candidates"]) == set(listed)
    assert "--unfreeze auto" in found.summary["command"]
    assert "mcc, trained from layers.0" in found.report.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["mcc@layers.0", "dapt", "dapt+self_training"])
def test_a_network_that_is_returned_answers_from_its_bundle(texts, tmp_path, monkeypatch, name):
    plain = run(texts, tmp_path / "c", methods=("coral",))
    returned(monkeypatch, name)
    given = {"methods": (name.partition("@")[0],), "settings": QUICK, "evaluate": True}
    given["unfreeze"] = "auto" if "@" in name else None
    seen = kept(monkeypatch)
    one = run(texts, tmp_path / "a", **given)
    assert one.decision == "adapted" and one.summary["method"] == name
    two = run(texts, tmp_path / "b", **given)
    assert weights(one) == weights(two), "the same seed, the same network"
    assert weights(one) != weights(plain), "the body has changed, too"
    table = pd.read_csv(texts / "b.csv")
    said = [p.label for p in one.model.predict(table["text"].tolist())]
    test = one.summary["test"]
    assert share_right(one.model, seen[0]) == pytest.approx(test["score"]), (
        "the bundle is what was judged"
    )
    whole = np.mean([a == str(b) for a, b in zip(said, table["label"], strict=True)])
    assert test["score"] == pytest.approx(test["candidates"][name])
    assert whole == pytest.approx(test["score"], abs=0.25)
    sure = np.mean(
        [max(p.probabilities.values()) for p in one.model.predict(table["text"].tolist())]
    )
    assert sure == pytest.approx(one.summary["estimate"]["accuracy"], abs=0.05)


def test_test_rows_are_not_read_before_the_verdict(texts, tmp_path, monkeypatch):
    read = []
    monkeypatch.setattr(
        "headstart.train.language.pretrain", lambda body, tokens, *_, **__: read.append(len(tokens))
    )
    alone = {"dapt": {"source": "false"}}
    found = run(texts, tmp_path / "run", methods=("dapt",), settings=alone, evaluate=True)
    other = pd.read_csv(texts / "b.csv")
    assert found.summary["used"]["target"] < len(other)
    seen = run(texts, tmp_path / "two", methods=("dapt",), settings=alone)
    assert seen.summary["candidates"][0]["method"] == "dapt"
    distinct = other["text"].nunique()
    assert read[1] == distinct, "the target's texts, each once"
    assert read[0] <= found.summary["used"]["target"] and read[0] < distinct
    both = run(texts, tmp_path / "three", methods=("dapt",), settings=QUICK, evaluate=True)
    assert read[2] > read[0], "the source's texts, too"
    assert read[2] <= read[0] + both.summary["used"]["source"]


def test_a_budget_makes_room_or_says_that_there_is_none(texts, tmp_path, monkeypatch):
    roomy = run(texts, tmp_path / "a", methods=("mcc",), budget="10m")
    assert {one["method"] for one in roomy.summary["candidates"]} == {"mcc", "mcc@layers.0"}
    plain = run(texts, tmp_path / "b", methods=("mcc",))
    assert {one["method"] for one in plain.summary["candidates"]} == {"mcc"}
    monkeypatch.setattr(networks, "_forecast", lambda run, schedule: 1e6)
    tight = run(texts, tmp_path / "c", methods=("mcc",), budget="10m")
    last = tight.summary["candidates"][-1]
    assert "1000000 s" in last["failed"] and last["expected_gain"] is None


def test_a_training_that_diverges_is_listed_and_ends_nothing(texts, tmp_path, monkeypatch):
    wild = replace(unfrozen.TEXTS, rate=1e30, body_share=1.0, optimiser="sgd")
    monkeypatch.setattr(unfrozen, "TEXTS", wild)
    found = run(texts, tmp_path / "a", methods=("coral", "mcc"), unfreeze="auto", evaluate=True)
    listed = {one["method"]: one for one in found.summary["candidates"]}
    assert "diverged" in listed["mcc@layers.0"]["failed"]
    assert not listed["coral"]["failed"]


@pytest.fixture
def styles(photos, tmp_path):
    """The photographs, and the same kinds of things dark and blurred."""
    for path in sorted(photos.rglob("*.jpg"))[1::2]:
        with Image.open(path) as picture:
            dim = picture.convert("RGB").resize((48, 48)).point(lambda v: v // 3)
        place = tmp_path / "dark" / path.parent.name
        place.mkdir(parents=True, exist_ok=True)
        dim.save(place / path.name)
    return photos, tmp_path / "dark"


def test_pictures_train_the_last_block_from_cached_activations(styles, tmp_path, monkeypatch):
    returned(monkeypatch, "mcc@blocks.5")
    seen = kept(monkeypatch)
    bright, dark = styles
    found = headstart.adapt(
        bright,
        dark,
        out=tmp_path / "run",
        methods=("mcc",),
        unfreeze="auto",
        evaluate=True,
        test_share=0.5,
    )
    assert found.summary["method"] == "mcc@blocks.5"
    test = found.summary["test"]
    assert share_right(found.model, seen[0]) == pytest.approx(test["score"])
    paths = sorted(dark.rglob("*.jpg"))
    right = [
        one.label == path.parent.name
        for one, path in zip(found.model.predict(paths), paths, strict=True)
    ]
    assert np.mean(right) == pytest.approx(test["score"], abs=0.35)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"unfreeze": "layers.9", "methods": ("mcc",)}, "layers.0"),
        ({"unfreeze": "auto", "methods": ("coral",)}, "--method mcc"),
        ({"methods": ("mcc@layers.0",)}, "--method mcc --unfreeze layers.0"),
        ({"methods": ("dapt+mcc",)}, "can't be part of a chain"),
        ({"methods": ("coral+dapt",)}, "can't be part of a chain"),
        ({"methods": ("dapt",), "settings": {"dapt": {"share": "2"}}}, "out of range"),
    ],
)
def test_what_cant_be_trained_is_refused_in_words(texts, tmp_path, change, words):
    with pytest.raises(UsageError) as caught:
        run(texts, tmp_path / "run", **change)
    assert words in f"{caught.value.message} {caught.value.hint}"
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("change", "words"),
    [({"unfreeze": "auto"}, "--unfreeze trains"), ({"methods": ("dapt",)}, "reads texts")],
)
def test_arrays_have_no_network(tmp_path, change, words):
    random = np.random.default_rng(0)
    source = (random.normal(size=(40, 4)), np.arange(40) % 2)
    with pytest.raises(UsageError) as caught:
        headstart.adapt(source, random.normal(size=(40, 4)), out=tmp_path / "run", **change)
    assert words in f"{caught.value.message} {caught.value.hint}"


def test_a_trusted_method_with_an_alarm_is_returned_with_a_warning(texts, tmp_path, monkeypatch):
    monkeypatch.setattr(work, "alarms", lambda seen, names, growing: ["good has vanished."])
    found = run(texts, tmp_path / "a", methods=("coral",), trust=True)
    assert found.summary["method"] == "coral"
    [warned] = [one for one in found.summary["findings"] if one["kind"] == "trusted"]
    assert "coral" in warned["message"] and "good has vanished" in warned["message"]
    plain = run(texts, tmp_path / "b", methods=("coral",))
    assert plain.decision == "source-only"
    assert not [one for one in plain.summary["findings"] if one["kind"] == "trusted"]
