"""Every diagnosis sees the fault where it is really present, and nothing where it is absent."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch
from torch import nn

from headstart import registry
from headstart.cli._summary import _diagnosis
from headstart.evaluate.diagnose import base, collapse, label_noise, moved, norm_drift
from headstart.evaluate.diagnose.base import Diagnosis, Facts, examine

NAMES = registry.names(base.FOLDER)
SEEDS = range(5)
EPOCHS = 12


def blobs(seed: int, rows: int = 240, classes: int = 3, width: int = 12, gap: float = 2.0):
    """Gaussian classes whose centres are the same for every seed."""
    random = np.random.default_rng(seed)
    targets = random.permutation(np.arange(rows) % classes)
    centres = gap * np.random.default_rng(99).standard_normal((classes, width))
    inputs = centres[targets] + random.standard_normal((rows, width))
    return inputs.astype(np.float32), targets


class Small(nn.Module):
    """Two hidden layers with BatchNorm, and a head."""

    def __init__(self, width: int = 12, classes: int = 3) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Linear(width, 32), nn.BatchNorm1d(32), nn.ReLU())
        self.top = nn.Sequential(nn.Linear(32, 24), nn.BatchNorm1d(24), nn.ReLU())
        self.head = nn.Linear(24, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.features(x))

    def features(self, x: torch.Tensor) -> torch.Tensor:
        return self.top(self.stem(x))


def train(
    network: nn.Module,
    inputs: np.ndarray,
    targets: np.ndarray,
    rate: float = 0.01,
    epochs: int = EPOCHS,
    seed: int = 0,
    decay: float = 0.0,
    freeze_norm: bool = False,
) -> list[dict[str, float]]:
    """Train by AdamW in batches of 32; gives the learning curve as the engine does."""
    torch.manual_seed(seed)
    x, y = torch.from_numpy(inputs), torch.from_numpy(targets)
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    optimiser = torch.optim.AdamW(trained, lr=rate, weight_decay=decay)
    curve = []
    for epoch in range(epochs):
        network.train()
        if freeze_norm:
            for part in network.modules():
                if isinstance(part, nn.BatchNorm1d):
                    part.eval()
        total = 0.0
        for rows in torch.randperm(len(x)).split(32):
            loss = nn.functional.cross_entropy(network(x[rows]), y[rows])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            total += float(loss.detach()) * len(rows)
        curve.append({"epoch": epoch + 1, "loss": total / len(x)})
    network.eval()
    return curve


@torch.no_grad()
def shares(network: nn.Module, inputs: np.ndarray) -> np.ndarray:
    network.eval()
    return network(torch.from_numpy(inputs)).softmax(1).double().numpy()


@torch.no_grad()
def features(network: Small, inputs: np.ndarray) -> np.ndarray:
    network.eval()
    return network.features(torch.from_numpy(inputs)).numpy()


def state(network: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in network.state_dict().items()}


def source(seed: int = 0) -> Small:
    """A network trained on a task of its own: six classes elsewhere in the same space."""
    torch.manual_seed(seed)
    network = Small(classes=6)
    train(network, *blobs(1000 + seed, 480, 6), epochs=6, seed=seed)
    head = nn.Linear(24, 3)
    network.head = head
    return network


def made(name: str, facts: Facts) -> Diagnosis:
    (found,), failed = examine(facts, [name])
    assert not failed
    return found


def by_folds(inputs: np.ndarray, targets: np.ndarray, classes: int, seed: int = 0) -> np.ndarray:
    """Out-of-fold probabilities of a logistic regression."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    folds = StratifiedKFold(5, shuffle=True, random_state=seed)
    model = LogisticRegression(C=0.1, max_iter=500)
    return cross_val_predict(model, inputs, targets, cv=folds, method="predict_proba")


# ---- every diagnosis -----------------------------------------------------------------------


def everything(seed: int = 0) -> Facts:
    """All facts of a sound training."""
    inputs, targets = blobs(seed)
    network = source(seed)
    before, old = state(network), features(network, inputs[:60])
    curve = train(network, inputs, targets, rate=2e-3, seed=seed, freeze_norm=True)
    held = by_folds(inputs, targets, 3, seed)
    new, classes = blobs(seed + 50)
    return Facts(
        classes=3,
        targets=targets,
        seed=seed,
        held_out=held,
        fitted=shares(network, inputs),
        probe=held,
        test=(classes, shares(network, new).argmax(axis=1)),
        curve=curve,
        before=before,
        after=state(network),
        stages={part: [n for n in before if n.startswith(part)] for part in ("stem", "top")},
        source_features=old,
        features=features(network, inputs[:60]),
        feature_targets=targets[:60],
        head=(np.eye(24, dtype=np.float32)[:6], np.zeros(6, np.float32)),
    )


def test_the_diagnoses_of_the_issue_are_there():
    wanted = (
        "collapse forgetting label_noise learning_rate moved norm_drift overfitting underfitting"
    )
    assert wanted.split() == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_it_says_what_it_is_and_needs_known_facts(name):
    module = registry.load(base.FOLDER, name)
    assert module.TITLE and isinstance(module.RANK, int)
    assert set(module.NEEDS) <= set(Facts.__dataclass_fields__)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_sound_training_raises_no_alarm(seed):
    found, failed = examine(everything(seed))
    assert [one.name for one in found] == sorted(
        NAMES, key=lambda name: registry.load(base.FOLDER, name).RANK
    )
    assert not failed
    assert {one.name: one.level for one in found if one.level != "ok"} == {}
    for one in found:
        assert one.sentence.endswith(".") and one.advice == ""
        for figure in one.figures:
            assert math.isfinite(figure.value)
            if figure.low is not None and figure.high is not None:
                assert figure.low <= figure.value <= figure.high


def test_the_same_facts_give_the_same_words():
    facts = everything()
    assert examine(facts) == examine(facts)


def test_what_is_not_known_is_passed_over():
    facts = Facts(classes=2, targets=np.array([0, 1]))
    assert examine(facts) == ([], {})


def test_a_diagnosis_that_fails_is_named_and_costs_no_other(caplog):
    facts = everything()
    broken = Facts(**{**vars(facts), "feature_targets": np.zeros(7, int)})
    found, failed = examine(broken)
    assert set(failed) == {"collapse"}
    assert len(found) == len(NAMES) - 1


def test_numbers_that_are_none_can_be_written():
    found = Diagnosis("x", "X", "ok", "y.", (base.Figure("z", math.nan),), "", {"a": [math.inf]})
    assert json.loads(json.dumps(found.as_dict(), allow_nan=False))["details"] == {"a": [None]}


def test_the_terminal_tells_a_few_of_those_that_are_not_ok():
    def item(name, level):
        return {"of": "linear_probe", "level": level, "sentence": f"What {name} says. " * 6}

    levels = {"a": "ok", "b": "notice", "c": "warning", "d": "notice", "e": "notice"}
    lines = _diagnosis({"diagnosis": {"items": [item(*pair) for pair in levels.items()]}})
    text = "\n".join(lines)
    assert max(map(len, lines)) <= 80
    assert text.index("warning linear probe: What c") < text.index("notice  linear probe: What b")
    assert "What a" not in text and "What e" not in text
    assert lines[-1] == "  and 1 more: see Diagnosis in the report"
    assert _diagnosis({}) == _diagnosis({"diagnosis": {"items": [item("a", "ok")]}}) == []


# ---- overfitting ---------------------------------------------------------------------------


def answers(rows: int, level: float, seed: int = 0):
    """Targets and one-hot probabilities of which a share ``level`` is right."""
    targets = np.random.default_rng(seed).integers(0, 3, rows)
    wrong = np.arange(rows) >= level * rows
    return targets, np.eye(3)[np.where(wrong, (targets + 1) % 3, targets)]


@pytest.mark.parametrize(
    ("train_score", "test_score", "says", "level"),
    [
        (1.0, 0.6, "far better", "warning"),
        (1.0, 0.82, "far better", "notice"),
        (0.95, 0.87, "somewhat better", "ok"),
        (0.8, 0.8, "No sign", "ok"),
    ],
)
def test_the_gap_between_training_and_test(train_score, test_score, says, level):
    targets, fitted = answers(900, train_score)
    classes, predicted = answers(300, test_score, 1)
    facts = Facts(
        classes=3, targets=targets, fitted=fitted, test=(classes, predicted.argmax(axis=1))
    )
    found = made("overfitting", facts)
    figures = {figure.name: figure for figure in found.figures}
    assert figures["training"].value == pytest.approx(train_score, abs=0.01)
    assert figures["test"].value == pytest.approx(test_score, abs=0.01)
    assert (says in found.sentence, found.level) == (True, level)


def test_the_gaps_interval_is_that_of_two_independent_shares():
    random = np.random.default_rng(0)
    targets = np.zeros(400, np.int64)
    a, b = ((random.random(400) < 0.3).astype(int) for _ in range(2))
    facts = Facts(classes=2, targets=targets, fitted=np.eye(2)[a], test=(targets, b))
    gap = {figure.name: figure for figure in made("overfitting", facts).figures}[
        "training over test"
    ]
    error = np.sqrt(sum(v.mean() * (1 - v.mean()) / 400 for v in (a, b)))
    assert gap.high - gap.low == pytest.approx(2 * 1.96 * error, rel=0.1)


def test_the_gap_to_validation_is_paired_on_the_same_rows():
    """Answers that mostly agree have a narrower gap than their two scores would have apart."""
    targets, fitted = answers(300, 0.8)
    held = fitted.copy()
    held[:15] = np.roll(held[:15], 1, axis=1)
    figures = {
        f.name: f
        for f in made(
            "overfitting", Facts(classes=3, targets=targets, fitted=fitted, held_out=held)
        ).figures
    }
    gap = figures["training over validation"]
    assert gap.value == pytest.approx(0.05)
    assert gap.high - gap.low == pytest.approx(2 * 1.96 * math.sqrt(0.05 * 0.95 / 300), rel=0.1)


@pytest.mark.parametrize("metric", ["accuracy", "balanced_accuracy", "macro_f1"])
def test_resamples_of_groups_are_those_of_rows(metric):
    from headstart.evaluate.paired import difference

    random = np.random.default_rng(4)
    targets = random.choice(3, 200, p=[0.6, 0.3, 0.1])
    ours, theirs = (
        np.where(random.random(200) < level, targets, random.integers(0, 3, 200))
        for level in (0.8, 0.6)
    )
    values, drawn = base.resampled(metric, targets, [ours, theirs], 3, 0)
    found = base.share(values[0] - values[1], drawn[0] - drawn[1])
    known = difference(metric, targets, ours, theirs, 3, 0)
    assert found.value == pytest.approx(known.value)
    assert (found.low, found.high) == pytest.approx((known.low, known.high), abs=0.012)


def test_a_network_that_learned_noise_by_heart_is_caught():
    inputs, targets = blobs(0, 120, gap=0.15)
    network = Small()
    train(network, inputs, targets, rate=0.02, epochs=80)
    new, classes = blobs(7, 300, gap=0.15)
    facts = Facts(
        classes=3,
        targets=targets,
        fitted=shares(network, inputs),
        test=(classes, shares(network, new).argmax(axis=1)),
    )
    assert made("overfitting", facts).level == "warning"
    assert "More labelled rows" in made("overfitting", facts).advice


def test_a_validation_score_that_flatters_is_told():
    targets, fitted = answers(600, 0.95)
    classes, predicted = answers(300, 0.8, 1)
    facts = Facts(
        classes=3,
        targets=targets,
        fitted=fitted,
        held_out=fitted,
        test=(classes, predicted.argmax(axis=1)),
    )
    found = made("overfitting", facts)
    assert found.level == "notice"
    assert "validation score flatters" in found.sentence


# ---- underfitting --------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
def test_a_network_that_hardly_trained_is_caught(seed):
    inputs, targets = blobs(seed)
    torch.manual_seed(seed)
    network = Small()
    nn.init.zeros_(network.head.weight)
    train(network, inputs, targets, rate=1e-9, epochs=1, seed=seed)
    facts = Facts(classes=3, targets=targets, fitted=shares(network, inputs))
    found = made("underfitting", facts)
    assert found.level == "warning"
    assert "hardly learned" in found.sentence


def test_a_network_behind_the_probe_is_caught():
    inputs, targets = blobs(0)
    torch.manual_seed(0)
    network = Small()
    train(network, inputs, targets, rate=1e-3, epochs=2)
    held = by_folds(inputs, targets, 3)
    facts = Facts(classes=3, targets=targets, fitted=shares(network, inputs), probe=held)
    found = made("underfitting", facts)
    assert found.level == "warning"
    assert "linear probe" in found.sentence
    assert found.figures[-1].high < 0


# ---- learning rate -------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
def test_a_learning_rate_of_ten_is_caught(seed):
    inputs, targets = blobs(seed)
    torch.manual_seed(seed)
    curve = train(Small(), inputs, targets, rate=10.0, seed=seed)
    found = made("learning_rate", Facts(classes=3, targets=targets, curve=curve))
    assert found.level == "warning", curve
    assert "too high" in found.advice


def curve_of(*losses: float | None) -> Facts:
    curve = [{"epoch": n + 1, "loss": loss} for n, loss in enumerate(losses)]
    return Facts(classes=3, targets=np.zeros(3, int), curve=curve)


@pytest.mark.parametrize(
    ("losses", "level", "says"),
    [
        ((1.0, 0.8, math.nan, math.nan), "warning", "from epoch 3 on"),
        ((1.0, None), "warning", "from epoch 2 on"),
        ((1.0, math.inf, 1.1), "warning", "diverged"),
        ((1.1, 80.0, 3.0, 1.2), "warning", "exploded to 80 in epoch 2"),
        ((0.6, 0.7, 0.8, 0.9, 1.0, 1.2), "warning", "rose"),
        ((1.0, 0.4, 0.8, 0.3, 0.9, 0.3, 0.7, 0.3), "notice", "up and down"),
        ((1.0, 0.5, 0.4, 0.41, 0.3, 0.31, 0.3, 0.3), "ok", "went down"),
        ((0.9,), "ok", "went down"),
        ((0.52, 0.5, 0.49, 0.492, 0.49, 0.489), "ok", "went down"),
    ],
)
def test_curves(losses, level, says):
    found = made("learning_rate", curve_of(*losses))
    assert (found.level, says in found.sentence) == (level, True), found.sentence


@pytest.mark.parametrize("rate", [1e-4, 1e-3, 1e-2])
@pytest.mark.parametrize("seed", SEEDS)
def test_usual_learning_rates_raise_no_alarm(seed, rate):
    torch.manual_seed(seed)
    inputs, targets = blobs(seed, gap=0.5)
    curve = train(Small(), inputs, targets, rate=rate, seed=seed, decay=0.02)
    assert made("learning_rate", Facts(classes=3, targets=targets, curve=curve)).level == "ok"


# ---- collapse ------------------------------------------------------------------------------


def test_effective_rank_and_participation_of_known_spectra():
    random = np.random.default_rng(0)
    axes, _ = np.linalg.qr(random.standard_normal((200, 6)) - 0.0)
    axes -= axes.mean(axis=0)
    axes, _ = np.linalg.qr(axes)
    even = axes @ np.eye(6)
    assert collapse.effective_rank(even) == pytest.approx(6, rel=1e-6)
    assert collapse.participation_ratio(even) == pytest.approx(6, rel=1e-6)
    scales = np.array([4.0, 2.0, 1.0, 0.5, 0.25, 0.25])
    p = scales / scales.sum()
    assert collapse.effective_rank(axes * scales) == pytest.approx(
        np.exp(-(p * np.log(p)).sum()), rel=1e-6
    )
    squares = scales**2
    assert collapse.participation_ratio(axes * scales) == pytest.approx(
        squares.sum() ** 2 / (squares**2).sum(), rel=1e-6
    )
    assert collapse.effective_rank(np.ones((20, 4))) == 0


def test_separation_is_calinski_and_harabasz():
    from sklearn.metrics import calinski_harabasz_score

    inputs, targets = blobs(0)
    assert collapse.separation(inputs.astype(float), targets) == pytest.approx(
        calinski_harabasz_score(inputs, targets)
    )


def pair(old: np.ndarray, new: np.ndarray, targets: np.ndarray) -> Facts:
    return Facts(
        classes=3, targets=targets, source_features=old, features=new, feature_targets=targets
    )


@pytest.mark.parametrize("seed", SEEDS)
def test_features_collapsed_by_construction_are_caught(seed):
    inputs, targets = blobs(seed, 60)
    old = features(source(seed), inputs)
    random = np.random.default_rng(seed)
    line = np.outer(random.standard_normal(60), random.standard_normal(24)).astype(np.float32)
    found = made("collapse", pair(old, line, targets))
    assert found.level == "warning"
    assert "collapsed" in found.sentence
    same = np.tile(old[:1], (60, 1))
    assert "same for every row" in made("collapse", pair(old, same, targets)).sentence
    assert made("collapse", pair(old, old * np.nan, targets)).level == "warning"


@pytest.mark.parametrize("seed", SEEDS)
def test_a_run_regularised_to_death_is_caught(seed):
    """A weight decay that shrinks every weight by a half in each step."""
    inputs, targets = blobs(seed)
    network = source(seed)
    old = features(network, inputs[:60])
    train(network, inputs, targets, rate=0.01, decay=50.0, seed=seed, freeze_norm=True)
    found = made("collapse", pair(old, features(network, inputs[:60]), targets[:60]))
    assert found.level == "warning", found


@pytest.mark.parametrize("seed", SEEDS)
def test_narrowing_towards_separate_classes_is_no_collapse(seed):
    """Long training on few classes costs rank and wins separation: neural collapse is no fault."""
    inputs, targets = blobs(seed)
    network = source(seed)
    old = features(network, inputs[:60])
    train(network, inputs, targets, rate=5e-3, epochs=40, seed=seed)
    found = made("collapse", pair(old, features(network, inputs[:60]), targets[:60]))
    assert found.level == "ok", found.sentence


# ---- BatchNorm drift -----------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
def test_statistics_of_shifted_data_are_caught(seed):
    inputs, targets = blobs(seed)
    network = source(seed)
    before = state(network)
    train(network, inputs * 2 + 3, targets, rate=1e-3, seed=seed)
    facts = Facts(classes=3, targets=targets, before=before, after=state(network))
    found = made("norm_drift", facts)
    assert found.level == "warning"
    assert "drifted" in found.sentence


def test_frozen_layers_that_keep_updating_are_caught():
    inputs, targets = blobs(0)
    network = source()
    for parameter in (*network.stem.parameters(), *network.top.parameters()):
        parameter.requires_grad_(False)
    before = state(network)
    train(network, inputs * 1.5 + 1, targets)
    facts = Facts(classes=3, targets=targets, before=before, after=state(network))
    found = made("norm_drift", facts)
    assert found.level == "warning"
    assert "2 of 2 BatchNorm layers kept updating" in found.sentence
    assert "freeze_norm" in found.advice


def test_drift_in_deviations_of_known_numbers():
    before = {
        "a.running_mean": np.zeros(4),
        "a.running_var": np.array([4.0, 4.0, 4.0, 0.0]),
        "a.weight": np.ones(4),
    }
    after = {**before, "a.running_mean": np.array([2.0, -2.0, 0.0, 0.0])}
    (layer,) = norm_drift.drifts(before, after)
    assert (layer.name, layer.trained) == ("a", False)
    assert layer.shift == pytest.approx(0.5)
    assert layer.scale == 0
    (wider,) = norm_drift.drifts(before, {**before, "a.running_var": before["a.running_var"] * 4})
    assert wider.scale == pytest.approx(0.75 * math.log(2))


def test_no_batch_norm_is_no_fault():
    states = {"a.weight": np.ones(2)}
    found = made("norm_drift", Facts(classes=2, targets=np.zeros(2), before=states, after=states))
    assert found.level == "ok"


# ---- what moved ----------------------------------------------------------------------------


def test_how_far_stages_moved():
    before = {
        "a.weight": np.array([3.0, 4.0]),
        "a.running_mean": np.zeros(2),
        "b.weight": np.ones(4),
    }
    after = {**before, "a.weight": np.array([3.0, 9.0]), "a.running_mean": np.full(2, 9.0)}
    stages = {"stem": ["a.weight", "a.running_mean"], "top": ["b.weight"], "pool": []}
    assert moved.changes(before, after, stages) == {"stem": 1.0, "top": 0.0}
    facts = Facts(classes=2, targets=np.zeros(2), before=before, after=after, stages=stages)
    found = made("moved", facts)
    assert found.details["stages"] == [["stem", 1.0], ["top", 0.0]]
    assert "`stem` moved most, by 100.0 %" in found.sentence and found.level == "ok"
    after["b.weight"] = np.full(4, 9.0)
    assert made("moved", facts).level == "notice"
    after["b.weight"] = np.full(4, np.nan)
    assert made("moved", facts).level == "warning"


def test_half_precision_is_read():
    old = {"a.weight": torch.ones(4, dtype=torch.bfloat16)}
    new = {"a.weight": torch.full((4,), 1.5, dtype=torch.bfloat16)}
    assert moved.changes(old, new, {"stem": ["a.weight"]}) == {"stem": 0.5}


def test_a_lower_rate_moves_a_real_network_less():
    inputs, targets = blobs(0)
    found = {}
    for rate in (1e-5, 1e-2):
        network = source()
        before = state(network)
        train(network, inputs, targets, rate=rate)
        stages = {"stem": list(before)[:2], "top": [n for n in before if n.startswith("top")]}
        found[rate] = moved.changes(before, state(network), stages)
    assert all(0 < found[1e-5][stage] < found[1e-2][stage] / 10 for stage in ("stem", "top"))


# ---- forgetting ----------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
def test_a_network_that_forgot_is_told_and_one_that_did_not_is_not(seed):
    inputs, six = blobs(1000 + seed, 480, 6)
    network = source(seed)
    torch.manual_seed(seed)
    own = nn.Linear(24, 6)
    network.head = own
    train(network, inputs, six, seed=seed, freeze_norm=True)
    head = tuple(part.detach().numpy().copy() for part in (own.weight, own.bias))
    old = features(network, inputs)
    levels = []
    for rate in (1e-5, 1.0):
        network.head = nn.Linear(24, 2)
        train(network, inputs, six // 3, rate=rate, seed=seed, epochs=20)
        facts = Facts(
            classes=2,
            targets=six // 3,
            source_features=old,
            features=features(network, inputs),
            head=head,
        )
        found = made("forgetting", facts)
        assert "proxy" in found.sentence and "proxy" in found.title
        levels.append(found.level)
    assert levels == ["ok", "notice"]


# ---- label noise ---------------------------------------------------------------------------


def flipped(seed: int, rate: float, rows: int = 400, gap: float = 2.0):
    """Blobs of which a share of the labels is wrong: inputs, given labels, and which are wrong."""
    inputs, targets = blobs(seed, rows, gap=gap)
    random = np.random.default_rng(seed + 500)
    wrong = np.zeros(rows, bool)
    wrong[random.choice(rows, round(rate * rows), replace=False)] = True
    given = np.where(wrong, (targets + random.integers(1, 3, rows)) % 3, targets)
    return inputs, given, wrong


@pytest.mark.parametrize("seed", SEEDS)
def test_a_tenth_of_flipped_labels_is_found(seed):
    inputs, given, wrong = flipped(seed, 0.1)
    facts = Facts(classes=3, targets=given, held_out=by_folds(inputs, given, 3, seed))
    found = made("label_noise", facts)
    assert found.level == "warning"
    suspects = label_noise.find(given, facts.held_out)
    assert wrong[suspects.rows[:24]].mean() >= 0.9, "chance would be 0.1"
    assert wrong[suspects.rows].sum() >= 0.6 * wrong.sum(), "chance would be 0.1"
    assert suspects.noise.low <= 0.1 <= suspects.noise.high
    rows = [row for row, *_ in found.details["suspects"]]
    assert len(rows) == 24 and rows == suspects.rows[:24].tolist()


@pytest.mark.parametrize("seed", SEEDS)
def test_right_labels_raise_no_alarm(seed):
    inputs, given, _ = flipped(seed, 0.0)
    held = by_folds(inputs, given, 3, seed)
    assert made("label_noise", Facts(classes=3, targets=given, held_out=held)).level == "ok"


@pytest.mark.parametrize("seed", SEEDS)
def test_classes_that_overlap_are_not_called_wrong_labels(seed):
    """A quarter of the held-out answers is wrong here, because the classes lie in one another."""
    inputs, given, _ = flipped(seed, 0.0, gap=0.6)
    held = by_folds(inputs, given, 3, seed)
    assert (held.argmax(axis=1) != given).mean() > 0.2
    found = label_noise.find(given, held)
    _, wrong, _ = flipped(seed, 0.1)
    sure = label_noise.find(wrong, by_folds(flipped(seed, 0.1)[0], wrong, 3, seed)).sureness
    assert found.sureness < 0.6 < sure
    assert made("label_noise", Facts(classes=3, targets=given, held_out=held)).level != "warning"


def test_the_equations_by_hand():
    targets = np.array([0, 0, 0, 1, 1, 1])
    p = np.array([0.9, 0.8, 0.1, 0.2, 0.3, 0.95])
    probabilities = np.stack([p, 1 - p], axis=1)
    t = label_noise.thresholds(targets, probabilities)
    assert t == pytest.approx([0.6, (0.8 + 0.7 + 0.05) / 3])
    joint, best = label_noise.confident_joint(targets, probabilities)
    assert joint.tolist() == [[2, 1], [1, 2]]
    assert best.tolist() == [0, 0, 1, 1, 1, 0]
    found = label_noise.find(targets, probabilities)
    assert found.noise.value == pytest.approx(2 / 6)
    assert found.rows.tolist() == [5, 2], "the surest first"
    assert found.suggested.tolist() == [0, 1]


def test_rows_without_probabilities_are_passed_over():
    inputs, given, _ = flipped(0, 0.1)
    held = by_folds(inputs, given, 3)
    held[:200] = np.nan
    found = made("label_noise", Facts(classes=3, targets=given, held_out=held))
    assert min(row for row, *_ in found.details["suspects"]) >= 200


@pytest.mark.parametrize("seed", SEEDS)
def test_it_counts_as_cleanlab_does(seed):
    count = pytest.importorskip("cleanlab.count", reason="cleanlab >= 2.8 is not installed")
    inputs, given, _ = flipped(seed, 0.15, gap=0.8)
    held = by_folds(inputs, given, 3, seed)
    theirs = count.compute_confident_joint(given, held, calibrate=False)
    assert label_noise.confident_joint(given, held)[0].tolist() == theirs.tolist()
    joint = count.estimate_joint(given, held, confident_joint=theirs)
    mass = 1 - float(np.trace(joint))  # of counts that cleanlab rounds to whole rows
    assert label_noise.find(given, held).noise.value == pytest.approx(mass, abs=9 / len(given))
