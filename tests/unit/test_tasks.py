"""The tasks: metrics against scikit-learn's, heads against its solvers, splits that keep rare labels."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit, softmax
from sklearn import metrics
from sklearn.linear_model import LogisticRegression, Ridge

from headstart.data.dataset import Columns, Dataset, Row, read
from headstart.data.split import assign, folds
from headstart.errors import DataError, UsageError
from headstart.evaluate import paired
from headstart.evaluate.gap import gap
from headstart.evaluate.paired import gained, scored, swapped
from headstart.evaluate.verdict import judge_outputs
from headstart.methods.finetune._heads import numbers_path
from headstart.methods.finetune.linear_probe import Method as Probe
from headstart.selection.worth import surer
from headstart.tasks import base, classify, multilabel, regress
from headstart.types import Interval, number, written

MODULES = {"classify": classify, "multilabel": multilabel, "regress": regress}
ALL = [(name, metric) for name, module in MODULES.items() for metric in module.MEASURES]
ROWS = 90


def drawn(name: str, seed: int, noise: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Targets and outputs that have something to do with each other; some outputs are equal."""
    random = np.random.default_rng(seed)
    if name == "classify":
        targets = random.choice(3, ROWS, p=[0.6, 0.3, 0.1])
        outputs = softmax(np.eye(3)[targets] + noise * random.normal(size=(ROWS, 3)), axis=1)
        return targets, outputs.round(2)
    if name == "multilabel":
        targets = (random.random((ROWS, 4)) < [0.5, 0.3, 0.1, 0.05]).astype(float)
        return targets, expit(3 * targets - 1.5 + noise * random.normal(size=(ROWS, 4))).round(2)
    targets = random.normal(5.0, 2.0, ROWS)
    return targets, (targets + noise * random.normal(size=ROWS))[:, None]


def oracle(name: str, metric: str, targets: np.ndarray, outputs: np.ndarray) -> float:
    """scikit-learn's value."""
    if name == "regress":
        known = {
            "r2": metrics.r2_score,
            "mae": metrics.mean_absolute_error,
            "rmse": metrics.root_mean_squared_error,
        }
        return known[metric](targets, outputs[:, 0])
    hot = np.eye(3)[targets] if name == "classify" else targets
    if metric == "auroc":
        return metrics.roc_auc_score(hot, outputs, average="macro")
    if metric == "average_precision":
        return metrics.average_precision_score(hot, outputs, average="macro")
    said = outputs.argmax(axis=1) if name == "classify" else outputs >= 0.5
    known = {
        "accuracy": metrics.accuracy_score,
        "subset_accuracy": metrics.accuracy_score,
        "balanced_accuracy": metrics.balanced_accuracy_score,
        "macro_f1": lambda t, p: metrics.f1_score(t, p, average="macro", zero_division=0),
    }
    return known[metric](targets, said)


@pytest.mark.parametrize(("name", "metric"), ALL)
@pytest.mark.parametrize("seed", range(3))
def test_a_metric_is_scikit_learns(name, metric, seed):
    targets, outputs = drawn(name, seed)
    measure = MODULES[name].MEASURES[metric]
    wanted = oracle(name, metric, targets, outputs)
    assert measure.exact(targets, outputs) == pytest.approx(wanted)
    one = np.ones((1, ROWS), np.float32)
    assert measure.weighted(targets, outputs, one)[0] == pytest.approx(wanted)


@pytest.mark.parametrize(("name", "metric"), ALL)
def test_a_weighted_metric_is_that_of_repeated_rows(name, metric):
    targets, outputs = drawn(name, 7)
    measure = MODULES[name].MEASURES[metric]
    weights = np.random.default_rng(0).integers(0, 4, (6, ROWS)).astype(np.float32)
    got = measure.weighted(targets, outputs, weights)
    for row, value in zip(weights.astype(int), got, strict=True):
        wanted = measure.exact(targets.repeat(row, axis=0), outputs.repeat(row, axis=0))
        assert value == pytest.approx(wanted)


def test_the_auroc_of_two_classes_is_the_usual_one():
    random = np.random.default_rng(1)
    targets, share = random.integers(0, 2, 60), random.random(60)
    outputs = np.stack([1 - share, share], axis=1)
    wanted = metrics.roc_auc_score(targets, share)
    assert classify.MEASURES["auroc"].exact(targets, outputs) == pytest.approx(wanted)


def test_a_class_without_rows_does_not_count():
    targets = np.array([0, 1, 0, 1])
    outputs = np.array([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.6, 0.3, 0.1], [0.2, 0.5, 0.3]])
    assert classify.MEASURES["auroc"].exact(targets, outputs) == 1.0
    assert np.isnan(classify.MEASURES["auroc"].exact(np.zeros(4, int), outputs))


@pytest.mark.parametrize(("name", "metric"), ALL)
def test_the_better_model_gains_and_the_comparison_says_so(name, metric):
    targets, ours = drawn(name, 3, noise=0.3)
    theirs = drawn(name, 3, noise=3.0)[1]
    measure = MODULES[name].MEASURES[metric]
    gain = gained(measure, targets, ours, theirs, 0)
    assert gain.low > 0 and gain.low < gain.value < gain.high
    assert swapped(measure, targets, ours, theirs, 0) < 0.05
    assert surer(measure, targets, ours, theirs, 0) > 0.99
    back = gained(measure, targets, theirs, ours, 0)
    assert (back.value, back.low) == pytest.approx((-gain.value, -gain.high))
    shown = scored(measure, targets, ours, 0)
    assert shown.low <= shown.value <= shown.high


@pytest.mark.parametrize(("name", "metric"), ALL)
def test_equal_outputs_are_not_told_apart(name, metric):
    targets, ours = drawn(name, 4)
    measure = MODULES[name].MEASURES[metric]
    assert gained(measure, targets, ours, ours, 0).value == 0
    assert swapped(measure, targets, ours, ours, 0) == 1.0
    assert surer(measure, targets, ours, ours, 0) == 0.5


@pytest.mark.parametrize(
    ("name", "metric"), [("classify", "auroc"), ("multilabel", "macro_f1"), ("regress", "mae")]
)
def test_models_of_equal_worth_are_seldom_told_apart(monkeypatch, name, metric):
    """The truth is no difference: about 5 % of 60 verdicts may say otherwise, three errors at most."""
    task = {
        "classify": classify.Task(("a", "b", "c"), metric),
        "multilabel": multilabel.Task(("a", "b", "c", "d"), metric),
        "regress": regress.Task(metric),
    }[name]
    monkeypatch.setattr(paired, "FEWER", 500)
    claims = 0
    for seed in range(60):
        targets, ours = drawn(name, seed)
        random = np.random.default_rng(seed + 1000)
        both = {
            "classify": lambda t, r: softmax(np.eye(3)[t] + r.normal(size=(ROWS, 3)), axis=1),
            "multilabel": lambda t, r: expit(3 * t - 1.5 + r.normal(size=t.shape)),
            "regress": lambda t, r: (t + r.normal(size=ROWS))[:, None],
        }[name](targets, random)
        claims += judge_outputs(task, targets, ours, {"control": both}, {}, seed).says != (
            "no evidence"
        )
    assert claims / 60 <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 60)


def test_less_error_is_a_gain():
    targets, ours = drawn("regress", 0, noise=0.2)
    mean = np.full((ROWS, 1), targets.mean())
    for metric in ("r2", "mae", "rmse"):
        task = regress.Task(metric).learned(targets)
        verdict = judge_outputs(task, targets, ours, {"mean": mean}, {}, 0)
        assert verdict.says == "helps" and verdict.main.gain.value > 0
        assert not verdict.share and "%" not in str(verdict)
        assert judge_outputs(task, targets, mean, {"other": ours}, {}, 0).says == "harms"


# ---- what labels may be --------------------------------------------------------------------------


def labelled(labels: list[str], delim: str = "") -> Dataset:
    rows = tuple(
        Row(f"{i}.jpg", np.zeros((4, 4), np.uint8), label) for i, label in enumerate(labels)
    )
    return Dataset(rows, "the data", "manifest", delim=delim)


@pytest.mark.parametrize(
    ("labels", "numbers"),
    [
        (["0.5", "1", "2"], True),
        (["0", "1", "2"], False),
        (["0.5", "1", "many"], False),
        (["0.5", "nan"], False),
        (["cat", "dog"], False),
        (["1e-3", "5"], True),
    ],
)
def test_labels_that_are_not_all_whole_are_numbers(labels, numbers):
    assert regress.are_numbers(labelled(labels)) is numbers


@pytest.mark.parametrize(
    ("labels", "says"),
    [
        (["0.5"] * 19 + ["abc"], "19 of 20 labels are numbers, 1 different ones"),
        ([str(age) for age in range(30)], "30 of 30 labels are numbers, 30 different ones"),
        (["0", "1", "2"] * 9, ""),
        (["cat", "dog"] * 9, ""),
        (["0.5"] * 10 + ["abc"] * 10, ""),
    ],
)
def test_classes_that_look_like_numbers_are_told_of(labels, says):
    found = regress.doubt(labelled(labels))
    assert found.startswith(says) and ("--task regression" in found) == bool(says)


def test_labels_that_are_no_numbers_are_left_out_with_a_reason():
    left = regress.readable(labelled(["0.5", "abc", "1.5", ""]))
    assert [row.name for row in left.rows] == ["0.jpg", "2.jpg"]
    assert left.skipped[0].reason == "the label 'abc' is not a number"
    with pytest.raises(DataError, match="no number"):
        regress.readable(labelled(["cat", "dog"]))
    with pytest.raises(DataError, match="only one number, 2,"):
        regress.readable(labelled(["2", "2.0"]))


def test_cells_with_several_labels_are_taken_apart():
    data = labelled(["a | b", "", "b||b", "c", "c"], "|")
    assert [data.labels(row) for row in data.rows] == [("a", "b"), (), ("b",), ("c",), ("c",)]
    assert data.classes == ["a", "b", "c"] and data.counts == {"a": 1, "b": 2, "c": 2}
    task = multilabel.Task.of(data, "macro_f1")
    assert task.classes == ("b", "c"), "a has one row: it can't be learned and tested"
    assert task.targets(data).tolist() == [[1, 0], [0, 0], [1, 0], [0, 1], [0, 1]]
    assert any("1 labels were left out" in finding.message for finding in task.inspect(data))
    with pytest.raises(DataError, match="the same labels in every row"):
        multilabel.readable(labelled(["a|b", "b|a"], "|"))


def test_an_empty_cell_is_a_row_without_labels(tmp_path):
    from PIL import Image

    Image.new("L", (8, 8)).save(tmp_path / "a.png")
    (tmp_path / "t.csv").write_text("path,label\na.png,x;y\na.png,\n")
    data = read(tmp_path / "t.csv", Columns(label_delim=";"))
    assert [data.labels(row) for row in data.rows] == [("x", "y"), ()] and not data.skipped
    plain = read(tmp_path / "t.csv")
    assert len(plain.rows) == 1 and "the label is missing" in plain.skipped[0].reason


def test_metrics_of_other_tasks_are_refused_by_name():
    assert base.check("regress", "mae") is regress.MEASURES["mae"]
    with pytest.raises(UsageError, match="mae is a metric for regression") as caught:
        base.check("classify", "mae")
    assert "--task regression" in caught.value.hint
    with pytest.raises(UsageError, match="no metric 'r3'"):
        base.check("regress", "r3")
    with pytest.raises(UsageError, match="no task 'clasify'"):
        base.named("clasify")


# ---- splits --------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_rare_labels_are_on_both_sides(seed):
    random = np.random.default_rng(seed)
    targets = (random.random((200, 6)) < [0.5, 0.4, 0.2, 0.1, 0.05, 0.0]).astype(float)
    targets[random.choice(200, 2, replace=False), 5] = 1
    side = assign(targets, np.arange(200), [0.75, 0.25], seed)
    for label in range(6):
        own = side[targets[:, label] > 0]
        assert 0 < (own == 1).sum() < len(own)
        assert abs((own == 1).mean() - 0.25) <= max(0.06, 1 / len(own))
    assert abs((side == 1).mean() - 0.25) < 0.05
    assert np.array_equal(side, assign(targets, np.arange(200), [0.75, 0.25], seed))


def test_linked_rows_stay_together_whatever_their_labels():
    random = np.random.default_rng(0)
    targets = (random.random((120, 3)) < 0.3).astype(float)
    linked = np.repeat(np.arange(40), 3)
    masks = folds(targets, linked, 0)
    assert masks.shape == (20, 120)  # five folds, four times over
    assert all(
        (mask.reshape(40, 3).all(axis=1) | ~mask.reshape(40, 3).any(axis=1)).all() for mask in masks
    )
    assert ((~masks).sum(axis=0) == 4).all()


@pytest.mark.parametrize(
    "values", [np.arange(97) / 7, np.repeat([0, 1 / 3, 2 / 3, 1], [60, 9, 4, 24])]
)
def test_numbers_are_split_in_bins_that_hold_enough(values):
    bins = regress.Task().strata(values)
    assert np.bincount(bins).min() >= regress.FEWEST
    order = np.argsort(values, kind="stable")
    assert (np.diff(bins[order]) >= 0).all(), "bins are ranges"
    side = assign(bins, np.arange(len(values)), [0.75, 0.25], 0)
    assert abs(values[side == 1].mean() - values[side == 0].mean()) < 0.35 * values.std()


# ---- heads ---------------------------------------------------------------------------------------


def features(rows: int = 120, width: int = 12) -> np.ndarray:
    random = np.random.default_rng(5)
    return (random.normal(size=(rows, width)) * np.geomspace(0.3, 3, width)).astype(np.float32)


def test_ridge_is_scikit_learns():
    z = features()
    values = z @ np.linspace(-1, 1, 12) + np.random.default_rng(0).normal(size=120) + 4
    masks = np.arange(120)[None] % 3 != np.arange(3)[:, None]
    penalties = np.array([0.01, 1.0, 30.0])
    weights, offsets = numbers_path(z, values, masks, penalties)
    for m, mask in enumerate(masks):
        for j, penalty in enumerate(penalties):
            wanted = Ridge(alpha=penalty * mask.sum()).fit(z[mask], values[mask])
            assert weights[m, j] == pytest.approx(wanted.coef_, abs=1e-6)
            assert offsets[m, j] == pytest.approx(wanted.intercept_, abs=1e-6)


def test_the_probe_learns_numbers_and_reads_no_held_out_row():
    z, random = features(), np.random.default_rng(1)
    values = 100 + 10 * (z @ np.linspace(-1, 1, 12)) + random.normal(size=120)
    task = regress.Task("r2").learned(values)
    masks = folds(task.strata(values), np.arange(120), 0)
    probe = Probe().solve(z, values, masks, np.ones(120, bool), task=task)
    assert task.measure.exact(values, probe.held_out) > 0.95
    assert probe.fitted.shape == (120, 1) and abs(probe.fitted.mean() - 100) < 20
    head = task.answers(z @ probe.weight.T + probe.bias)
    assert head == pytest.approx(probe.fitted)
    train = masks[0]
    changed = np.where(train, values, values + 1000)
    one, two = (Probe().solve(z, v, train[None], train, task=task) for v in (values, changed))
    assert one.held_out[~train] == pytest.approx(two.held_out[~train]) or one.chosen != two.chosen
    weight, bias = Probe().head(z, values, train, 1.0, task=task)
    again = Probe().head(z, changed, train, 1.0, task=task)
    assert np.array_equal(weight, again[0]) and np.array_equal(bias, again[1])


def test_each_label_has_the_logistic_regression_of_its_own():
    z, random = features(), np.random.default_rng(2)
    slopes = random.normal(size=(12, 3))
    targets = (random.random((120, 3)) < expit(z @ slopes - [0, 1, 2])).astype(float)
    task = multilabel.Task(("a", "b", "c"), "macro_f1")
    every = np.ones(120, bool)
    weight, bias = Probe().head(z, targets, every, 0.05, task=task)
    # The probe's penalty is on standardised features: solve the same problem in those terms.
    scale = 1 / (z.std(axis=0) + 0.1 * z.std(axis=0).mean())
    scaled = (z - z.mean(axis=0)) * scale
    for label in range(3):
        wanted = LogisticRegression(C=1 / (0.05 * 120), tol=1e-8, max_iter=2000)
        wanted.fit(scaled, targets[:, label])
        shown = expit(z @ weight[label] + bias[label])
        assert shown == pytest.approx(wanted.predict_proba(scaled)[:, 1], abs=0.01)


def test_class_weights_find_more_of_what_is_rare():
    z, random = features(300), np.random.default_rng(3)
    rare = (random.random(300) < expit(z[:, -1] - 4.0)).astype(int)
    every, masks = np.ones(300, bool), folds(rare, np.arange(300), 0)
    plain, even = (Probe(balance=how).solve(z, rare, masks, every) for how in ("none", "weights"))
    found = [p.held_out.argmax(axis=1)[rare == 1].mean() for p in (plain, even)]
    assert found[1] > found[0]
    hot = np.stack([rare, 1 - rare], axis=1).astype(float)
    task = multilabel.Task(("rare", "usual"), "macro_f1")
    several = [
        Probe(balance=how).solve(z, hot, masks, every, task=task) for how in ("none", "weights")
    ]
    found = [(p.held_out[:, 0] >= 0.5)[rare == 1].mean() for p in several]
    assert found[1] > found[0]


# ---- losses --------------------------------------------------------------------------------------


def test_losses_in_training_are_those_that_choose():
    import torch

    random = np.random.default_rng(0)
    hot = (random.random((30, 4)) < 0.4).astype(float)
    logits = random.normal(size=(30, 4))
    task = multilabel.Task(tuple("abcd"), "macro_f1")
    loss = task.loss(torch.tensor(logits), task.wanted(hot).double(), None, 0.0)
    assert float(loss) == pytest.approx(task.stopping(logits, hot))
    assert float(loss) == pytest.approx(task.losses(task.answers(logits), hot).mean())
    values = random.normal(50, 9, 30)
    other = regress.Task("r2").learned(values)
    logits = random.normal(size=(30, 1))
    loss = other.loss(torch.tensor(logits), other.wanted(values).double(), None, 0.1)
    assert float(loss) == pytest.approx(other.stopping(logits, values), rel=1e-5)
    assert float(loss) == pytest.approx(
        other.losses(other.answers(logits), values).mean(), rel=1e-5
    )
    assert other.wanted(values).numpy().std() == pytest.approx(1, rel=1e-5)


def test_smoothing_moves_each_label_towards_a_half():
    import torch

    task = multilabel.Task(("a",), "macro_f1")
    logit = torch.tensor([[2.0]])
    got = float(task.loss(logit, torch.tensor([[1.0]]), None, 0.2))
    wanted = metrics.log_loss([1, 0], [expit(2.0)] * 2, sample_weight=[0.9, 0.1])
    assert got == pytest.approx(wanted)


@pytest.mark.parametrize("name", MODULES)
def test_the_training_score_is_the_metric_of_the_epoch(name):
    import torch

    targets, outputs = drawn(name, 2)
    task = {
        "classify": classify.Task(("a", "b", "c")),
        "multilabel": multilabel.Task(tuple("abcd"), "macro_f1"),
        "regress": regress.Task("mae").learned(targets),
    }[name]
    logits = {
        "classify": lambda: np.log(outputs + 1e-9),
        "multilabel": lambda: np.log(outputs + 1e-9) - np.log(1 - outputs + 1e-9),
        "regress": lambda: (outputs - task.centre) / task.scale,
    }[name]()
    follow = task.follow()
    for part in np.array_split(np.arange(ROWS), 4):
        follow.add(torch.tensor(logits[part]), task.wanted(targets[part]))
    assert follow.value() == pytest.approx(task.measure.exact(targets, outputs), rel=1e-5)


@pytest.mark.parametrize(("name", "metric"), ALL)
def test_the_gap_says_when_the_training_rows_are_known_by_heart(name, metric):
    measure = MODULES[name].MEASURES[metric]
    learnt, held, test = (
        drawn(name, seed, noise) for seed, noise in ((1, 0.05), (2, 2.5), (3, 2.5))
    )
    found = gap(measure, learnt, held, test, 0)
    assert found["gap"][1] > 0 and "far better" in found["says"]
    assert found["test"] == measure.exact(*test) and found["validation"] == measure.exact(*held)
    same = gap(measure, test, held, test, 0)
    assert same["gap"][0] == 0 and "No sign" in same["says"]


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (0.5401, "0.540"),
        (12.34, "12.3"),
        (-3.21, "-3.21"),
        (2024.4, "2024"),
        (1.5e-6, "1.5e-06"),
        (0, "0.000"),
    ],
)
def test_numbers_are_written_with_what_counts(value, says):
    assert number(value) == says and written(value, share=False) == says
    assert written(0.935) == "93.5 %"
    assert Interval(0.112, 0.08, 0.15).gain("accuracy") == "+11.2 points [8.0, 15.0]"
    assert Interval(-2.0, -3.0, 1.0).gain("mae", False) == "-2.00 MAE [-3.00, 1.00]"
