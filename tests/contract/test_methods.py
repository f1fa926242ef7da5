"""What every method found on disk has to keep, whoever writes it."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest

from headstart import registry
from headstart.data.split import folds
from headstart.errors import UsageError
from headstart.methods.base import Base, Situation, catalogue, configure
from headstart.train.recipe import Recipe

METHODS = {
    f"{family}.{name}": registry.load(f"methods.{family}", name).Method
    for family in registry.METHOD_FAMILIES
    for name in registry.names(f"methods.{family}")
}
NUMBERS = [
    (name, spec.name)
    for name, method in METHODS.items()
    for spec in dataclasses.fields(method)
    if isinstance(spec.default, int | float) and not isinstance(spec.default, bool)
]
TRAINED = [name for name, method in METHODS.items() if hasattr(method, "recipe")]
SOLVED = [name for name, method in METHODS.items() if hasattr(method, "solve")]
PREDICTING = [name for name, method in METHODS.items() if hasattr(method, "predict")]

VERBS = (
    "align",
    "adapt",
    "further",
    "loss",
    "answer",
    "solve",
    "recipe",
    "predict",
    "penalty",
    "mix",
    "choose",
    "combine",
)
WORDS = {"point": ["blocks.3"], "regularise": ["mixup"], "keep": ["wise_ft"]}

SITUATIONS = [
    Situation(rows, classes, native, 224, "blocks.5", turnable)
    for rows, classes in ((2, 2), (40, 2), (244, 7), (5000, 100), (200_000, 1000))
    for native in (8, 100, 600)
    for turnable in (False, True)
]


def spec_of(name: str, parameter: str) -> dataclasses.Field[Any]:
    return next(f for f in dataclasses.fields(METHODS[name]) if f.name == parameter)


def test_methods_are_found():
    assert {"finetune.linear_probe", "control.majority", "control.from_scratch"} <= set(METHODS)
    assert len(TRAINED) >= 3 and len(NUMBERS) >= 20


@pytest.mark.parametrize("name", METHODS)
def test_it_says_what_it_does_when_to_try_it_and_when_it_hurts(name):
    method, (family, file) = METHODS[name], name.split(".")
    assert issubclass(method, Base) and dataclasses.is_dataclass(method)
    assert (method.family, method.name()) == (family, file)
    for text in (method.summary, method.try_when, method.hurts_when):
        assert len(text) > 20 and text.rstrip()[-1] in ".;", text
        assert "  " not in text, "no line of the source shows through"
    assert method.__doc__
    assert 0 <= method.relative_gain < 1
    with pytest.raises(dataclasses.FrozenInstanceError):
        method().anything = 1


@pytest.mark.parametrize("name", METHODS)
def test_it_offers_what_its_family_asks_for(name):
    method = METHODS[name]
    offered = [verb for verb in VERBS if callable(getattr(method, verb, None))]
    allowed = {
        "finetune": (["solve"], ["recipe"], ["combine"]),
        "align": (["align"],),
        "adapt": (["loss"],),
        "sourcefree": (["adapt"],),
        "pretrain": (["further"],),
        "control": (["predict"], ["recipe"], ["answer"]),
        "regularise": (["penalty"], ["mix"]),
        "keep": (["choose"],),
    }
    assert offered in allowed[method.family]


@pytest.mark.parametrize("name", METHODS)
def test_it_is_listed_with_all_its_parameters(name):
    listed = {f"{entry['family']}.{entry['name']}": entry for entry in catalogue()}
    entry = listed[name]
    fields = dataclasses.fields(METHODS[name])
    assert [p["name"] for p in entry["parameters"]] == [spec.name for spec in fields]
    assert all(p["help"] and p["range"] for p in entry["parameters"])


@pytest.mark.parametrize(("name", "parameter"), NUMBERS)
def test_a_number_has_help_and_a_range_that_holds_its_default(name, parameter):
    spec = spec_of(name, parameter)
    low, high = spec.metadata["low"], spec.metadata["high"]
    assert len(spec.metadata["help"]) > 5
    assert low is not None, "every number has a smallest value"
    assert low <= spec.default <= (math.inf if high is None else high)


@pytest.mark.parametrize(("name", "parameter"), NUMBERS)
def test_a_number_out_of_range_is_refused_by_name(name, parameter):
    spec = spec_of(name, parameter)
    family, file = name.split(".")
    low, high = spec.metadata["low"], spec.metadata["high"]
    whole = isinstance(spec.default, int)
    step = 1 if whole else 1e-6 * max(1.0, abs(low))
    bad = [low - step] + ([] if high is None else [high + max(step, 1e-6 * abs(high))])
    bad = [math.ceil(value) if whole and value > low else value for value in bad]
    for value in bad if whole else [*bad, math.nan]:
        with pytest.raises(UsageError) as caught:
            configure(family, file, {parameter: str(value)})
        assert parameter in caught.value.message and file in caught.value.message
        with pytest.raises(UsageError, match=parameter):
            METHODS[name](**{parameter: value})
    for value in [low] + ([] if high is None else [high]):
        made = configure(family, file, {parameter: str(value)})
        assert getattr(made, parameter) == value, "the ends belong to the range"
    with pytest.raises(UsageError, match=parameter):
        configure(family, file, {parameter: "a word"})


# ---- recipes -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TRAINED)
@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda s: f"{s.rows}x{s.native}{s.turnable}")
def test_a_recipe_is_one_that_can_be_trained(name, situation, network):
    recipe = METHODS[name]().recipe(situation)
    assert isinstance(recipe, Recipe)
    assert recipe == METHODS[name]().recipe(situation)
    assert 0 <= network.position(recipe.point) < len(network.stages), "something is left to train"
    assert 1 <= recipe.epochs <= 3000 and recipe.batch >= 1
    assert 32 <= recipe.size <= situation.size
    assert 0 < recipe.rate < 1 and 0 < recipe.body_rate < 1 and 0 < recipe.decay <= 1
    assert 0 <= recipe.smoothing < 1 and 0 < recipe.smallest <= 1 and 0 <= recipe.warmup <= 1
    assert recipe.turn == (situation.turnable and "image" in METHODS[name].modalities)
    assert (recipe.point == "input") == (recipe.views == 0), "cached views need a frozen part"
    if recipe.warm_head:
        assert recipe.pretrained, "a probe's head fits only the features it was solved on"


@pytest.mark.parametrize("name", TRAINED)
def test_parameters_reach_the_recipe(name):
    """A parameter that changes nothing is a promise not kept."""
    method = METHODS[name]
    situation = SITUATIONS[8]
    plain = method().recipe(situation)
    for spec in dataclasses.fields(method):
        low, high = spec.metadata.get("low"), spec.metadata.get("high")
        values = [low, high, *([96, 160, 5, 2 * spec.default] if spec.default != "" else [])]
        if isinstance(spec.default, str):
            values = [*WORDS.get(spec.name, ()), *spec.metadata["choices"]]
        if isinstance(spec.default, bool):
            values = [not spec.default]
        usable = [v for v in values if v is not None]
        if isinstance(spec.default, int | float) and not isinstance(spec.default, bool):
            usable = [v for v in usable if low <= v <= (math.inf if high is None else high)]
        changed = [method(**{spec.name: v}).recipe(situation) for v in usable]
        assert any(recipe != plain for recipe in changed), spec.name


CHOICES = [
    (name, spec.name)
    for name, method in METHODS.items()
    for spec in dataclasses.fields(method)
    if spec.metadata.get("choices")
]


@pytest.mark.parametrize(("name", "parameter"), CHOICES)
def test_a_word_that_is_no_choice_is_refused_with_the_choices(name, parameter):
    spec = spec_of(name, parameter)
    family, file = name.split(".")
    assert spec.default in spec.metadata["choices"]
    with pytest.raises(UsageError) as caught:
        configure(family, file, {parameter: spec.default[:-1]})
    assert parameter in caught.value.message and file in caught.value.message
    assert all(choice in caught.value.hint for choice in spec.metadata["choices"])


def test_what_runs_unasked_is_the_probe_and_the_two_fine_tunings():
    """What a plain ``headstart fit`` tries; the others wait to be named."""
    unasked = {name for name, method in METHODS.items() if method.unasked}
    assert {name for name in unasked if name.startswith("finetune.")} == {
        "finetune.linear_probe",
        "finetune.partial",
        "finetune.full",
    }


def test_only_the_control_starts_from_random_weights():
    for name in TRAINED:
        recipe = METHODS[name]().recipe(SITUATIONS[8])
        assert recipe.pretrained == name.startswith("finetune.")


# ---- solving and predicting ----------------------------------------------------------------


@pytest.mark.parametrize("name", SOLVED)
def test_solving_is_finite_and_the_same_each_time(name, source_features):
    targets = source_features.targets
    masks = folds(targets, np.arange(48), 0)[:5]
    first, again = (
        METHODS[name]().solve(source_features.features, targets, masks, np.ones(48, bool))
        for _ in range(2)
    )
    for value in (first.weight, first.bias, first.held_out, first.fitted, first.losses):
        assert np.isfinite(value).all()
    assert np.allclose(first.held_out.sum(axis=1), 1)
    assert first.weight.shape == (2, 1280) and first.bias.shape == (2,)
    assert np.array_equal(first.weight, again.weight)
    assert np.array_equal(first.held_out, again.held_out)


@pytest.mark.parametrize("name", SOLVED)
@pytest.mark.parametrize("which", ["photographs", "solar cells"])
def test_solving_beats_the_majority_on_real_pictures(name, which, source_features, solar_features):
    """Its control: held-out rows of two real sets, by at least what chance could not give."""
    data = source_features if which == "photographs" else solar_features
    rows = len(data.targets)
    masks = folds(data.targets, np.arange(rows), 0)
    probe = METHODS[name]().solve(data.features, data.targets, masks, np.ones(rows, bool))
    right = (probe.held_out.argmax(axis=1) == data.targets).mean()
    control = registry.load("methods.control", "majority").Method()
    floor = (control.predict(data.targets, 2, rows).argmax(axis=1) == data.targets).mean()
    assert floor == 0.5
    assert right > floor + 3 * math.sqrt(0.25 / rows)


@pytest.mark.parametrize("name", PREDICTING)
@pytest.mark.parametrize("rows", [0, 1, 7])
def test_predicting_gives_probabilities(name, rows):
    targets = np.array([0, 2, 2, 1, 2])
    method = METHODS[name]()
    if "classify" not in method.tasks:
        several = targets[:, None] == np.arange(3) if "multilabel" in method.tasks else targets
        out = method.predict(several, 3 if several.ndim == 2 else 1, rows)
        assert out.shape[0] == rows and (out == several.mean(axis=0)).all()
        return
    out = method.predict(targets, 4, rows)
    assert out.shape == (rows, 4) and (out >= 0).all()
    assert np.allclose(out.sum(axis=1), 1)
    assert np.array_equal(out, method.predict(targets, 4, rows))


def test_the_majority_is_the_majority():
    method = METHODS["control.majority"]()
    out = method.predict(np.array([0, 2, 2, 1, 2]), 4, 2)
    assert out.tolist() == [[0.2, 0.2, 0.6, 0.0]] * 2
