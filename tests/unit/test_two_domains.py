"""The training on two domains, the training on the target alone, and features in place of a network."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from headstart.errors import UsageError
from headstart.methods.adapt import consistency, dann, mcd
from headstart.methods.adapt.base import Adapt
from headstart.methods.domains import Domains
from headstart.methods.sourcefree import shot
from headstart.train.pair import Round
from headstart.train.players import joined
from headstart.train.target_alone import refine
from headstart.train.two_domains import Domain, Schedule, _rows, annealed, embed, train
from headstart.workflow import adapt_features as workflow
from headstart.workflow.adapt_features import Drift, adapt_features


class Watch:
    """A method that only remembers what it was shown."""

    needs: tuple[str, ...] = ()
    joint = True
    apart = False
    off = False

    def __init__(self) -> None:
        self.steps: list[object] = []

    def lacks(self, body):
        return ""

    def parts(self, width, classes, head):
        self.shape = (width, classes)
        return {}

    def loss(self, seen):
        self.steps.append(seen)
        return seen.source.new_zeros(())

    def rounds(self):
        return (Round(self.loss),)

    def finish(self, body, batches):
        self.finished = batches


def pair(rows: int = 40) -> tuple[Domain, Domain]:
    draw = torch.Generator().manual_seed(0)
    labels = torch.arange(rows) % 4 // 3  # one row in four is of class 1
    inputs = torch.randn(rows, 3, generator=draw) + 3.0 * labels[:, None]
    return Domain.of(inputs, labels), Domain.of(torch.randn(2 * rows, 3, generator=draw))


def small() -> tuple[nn.Module, nn.Linear]:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 5), nn.ReLU()), nn.Linear(5, 2)


def test_a_method_is_shown_both_domains_and_the_share_that_is_done():
    watch = Watch()
    source, target = pair()
    done = train(*small(), source, target, watch, Schedule(steps=10, batch=8, wait=0.5))
    assert watch.shape == (5, 2)
    assert [s.progress for s in watch.steps] == pytest.approx([0.0, 0.2, 0.4, 0.6, 0.8])
    first = watch.steps[0]
    assert first.source.shape == first.target.shape == (8, 5)
    assert first.source_logits.shape == (8, 2) and first.again is None
    assert isinstance(first.parts["head"], nn.Linear)
    assert sum(len(batch) for batch in watch.finished) == target.rows
    assert not done.body.training and not done.head.training


def test_the_rate_falls_as_in_the_paper(monkeypatch):
    rates = []
    step = torch.optim.SGD.step

    def noted(self, *args, **kwargs):
        rates.append([group["lr"] for group in self.param_groups])
        return step(self, *args, **kwargs)

    monkeypatch.setattr(torch.optim.SGD, "step", noted)
    source, target = pair()
    train(*small(), source, target, None, Schedule(steps=4, batch=8, rate=0.1, body_share=0.5))
    assert rates[0] == pytest.approx([0.05, 0.1])
    assert rates[2] == pytest.approx([0.05 * annealed(0.5), 0.1 * annealed(0.5)])
    assert annealed(0.5) == pytest.approx(6**-0.75)


def test_the_source_is_learnt_and_the_curve_says_so():
    source, target = pair(200)
    for optimiser, rate in (("sgd", 0.05), ("adam", 0.01)):
        plan = Schedule(steps=200, batch=32, rate=rate, optimiser=optimiser)
        done = train(*small(), source, target, dann.Method(hidden=8), plan)
        answers = done.head(embed(done.body, source)).argmax(dim=1)
        assert (answers == source.labels).float().mean() > 0.95
        curve = done.curve
        assert len(curve.step) == len(curve.source) == len(curve.term) == len(curve.domain)
        assert curve.step[-1] == 199 and curve.source[-1] < curve.source[0]
        assert all(0 <= share <= 1 for share in curve.domain)


def test_a_feed_gives_what_tensors_give():
    source, target = pair()
    asked: list[int] = []

    def feed(rows: torch.Tensor) -> torch.Tensor:
        asked.append(len(rows))
        return source.inputs[rows]

    plan = Schedule(steps=6, batch=8)
    first = train(*small(), source, target, dann.Method(), plan)
    fed = Domain(feed, source.rows, source.labels)
    other = train(*small(), fed, target, dann.Method(), plan)
    assert asked and torch.equal(first.head.weight, other.head.weight)


def test_balanced_batches_hold_each_class_alike():
    labels = torch.tensor([0] * 90 + [1] * 10)
    plain, even = (
        torch.cat([labels[next(batches)] for _ in range(50)]).float().mean()
        for batches in (
            _rows(100, 20, torch.Generator().manual_seed(0)),
            _rows(100, 20, torch.Generator().manual_seed(0), labels),
        )
    )
    assert plain == pytest.approx(0.1) and even == pytest.approx(0.5, abs=0.06)


def test_an_epoch_visits_every_row_once():
    batches = _rows(12, 4, torch.Generator().manual_seed(0))
    assert sorted(torch.cat([next(batches) for _ in range(3)]).tolist()) == list(range(12))


def test_what_is_missing_is_said():
    source, target = pair()
    with pytest.raises(UsageError, match="views"):
        train(*small(), source, target, consistency.Method())
    with pytest.raises(UsageError, match="labels"):
        train(*small(), target, source)
    with pytest.raises(NotImplementedError):
        Adapt.loss(dann.Method(), None)


def test_a_second_view_is_of_the_same_rows():
    watch = Watch()
    watch.needs = ("view",)
    source, target = pair()
    linear = nn.Linear(3, 3)
    plan = Schedule(steps=2, batch=8, rate=1e-12)
    train(linear, nn.Linear(3, 2), source, target, watch, plan, lambda rows, draw: 2 * rows)
    moved = [
        s.detach() - linear.bias.detach() for s in (watch.steps[0].again, watch.steps[0].target)
    ]
    assert torch.allclose(moved[0], 2 * moved[1], atol=1e-5)
    assert watch.steps[0].again_logits.shape == (8, 2)


# ---- the target alone ----------------------------------------------------------------------


def test_the_body_moves_and_the_head_stays():
    source, _ = pair(200)
    body, head = small()
    train(body, head, source, source, None, Schedule(steps=150, batch=32, rate=0.05))
    moved = Domain.of(source.inputs * 0.6 - 1.0)
    kept, weight = head.weight.clone(), body[0].weight.clone()

    def accuracy() -> float:
        return float((head(embed(body, moved)).argmax(dim=1) == source.labels).float().mean())

    before = accuracy()
    labelled: list[int] = []

    def label(features: torch.Tensor, shares: torch.Tensor) -> torch.Tensor:
        labelled.append(len(features))
        return shot.pseudo_labels(features, shares)

    refine(
        body,
        head,
        moved,
        lambda logits, given: shot.objective(logits, given, 0.3),
        label,
        Schedule(steps=150, batch=64, rate=0.02),
        relabel=5,
    )
    assert torch.equal(head.weight, kept) and head.weight.requires_grad
    assert not torch.equal(body[0].weight, weight)
    assert labelled == [200] * 5
    assert before < 0.9 and accuracy() > before + 0.05


# ---- features ------------------------------------------------------------------------------


def features(width: int = 6, rows: int = 50) -> Domains:
    random = np.random.default_rng(0)
    labels = np.arange(rows) % 2
    source = random.normal(size=(rows, width)) * 3 + 10 * labels[:, None]
    return Domains(source, labels, source[: rows // 2] * 2 + 1, 2)


def test_no_step_gives_the_source_only_head():
    for width in (6, workflow.WIDEST + 20):
        domains = features(width)
        head = adapt_features(dann.Method(), domains, steps=0)
        wanted = domains.source_only.logits(domains.target)
        assert np.allclose(head.logits(domains.target), wanted, atol=1e-3)


def test_the_head_is_the_trained_network(monkeypatch):
    """What is folded answers as the body and the head do."""
    for width in (6, workflow.WIDEST + 20):
        domains = features(width)
        kept = {}
        trainer = workflow.train

        def noted(body, head, source, target, *rest, trainer=trainer, kept=kept):
            kept["done"], kept["target"] = trainer(body, head, source, target, *rest), target
            return kept["done"]

        monkeypatch.setattr(workflow, "train", noted)
        head = adapt_features(dann.Method(), domains, steps=20)
        monkeypatch.setattr(workflow, "train", trainer)
        done = kept["done"]
        wanted = done.head(embed(done.body, kept["target"])).detach().numpy()
        assert np.allclose(head.logits(domains.target), wanted, atol=1e-3)
        assert np.abs(done.body.weight.detach().numpy()).max() > 1e-4, "the map was trained"


def test_wide_features_are_moved_within_their_main_directions():
    axes = torch.linalg.qr(torch.randn(20, 4, generator=torch.Generator().manual_seed(0)))[0]
    body = Drift(20, axes)
    rows = torch.randn(5, 20, generator=torch.Generator().manual_seed(1))
    assert torch.equal(body(rows), rows)
    with torch.no_grad():
        body.weight.normal_()
    assert np.allclose(rows.numpy() @ body.matrix(), body(rows).detach().numpy(), atol=1e-5)
    across = rows - rows @ axes @ axes.T
    assert torch.allclose(body(across), across, atol=1e-5)


def test_the_seed_and_the_steps_are_taken():
    domains = features()
    first, again, other = (
        adapt_features(dann.Method(), domains, steps=5, seed=seed) for seed in (1, 1, 2)
    )
    assert np.array_equal(first.weight, again.weight)
    assert not np.array_equal(first.weight, other.weight)


class Turns(Watch):
    """Three rounds of which each says what it was given, and changes what it may."""

    def rounds(self):
        return (
            Round(self.loss),
            Round(self.loss, "classifiers"),
            Round(self.loss, "body", supervised=False),
        )

    def parts(self, width, classes, head):
        return {"second": nn.Linear(width, classes)}

    def loss(self, seen):
        self.steps.append(seen)
        return seen.parts["second"](seen.target).square().mean()


def test_rounds_take_turns_and_each_moves_only_its_own():
    source, target = pair()
    watch, seen = Turns(), []
    body, head = small()
    before = [p.clone() for p in (*body.parameters(), *head.parameters())]

    def noted(self, closure=None):
        moved = [p.grad is not None for g in self.param_groups for p in g["params"]]
        seen.append(moved)

    plan = Schedule(steps=1, batch=8)
    patch = pytest.MonkeyPatch()
    with patch.context() as given:
        given.setattr(torch.optim.SGD, "step", noted)
        train(body, head, source, target, watch, plan)
    after = (*body.parameters(), *head.parameters())
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    both, classifiers, features = seen  # body: 2 tensors; head: 2; the second classifier: 2
    assert both == [True] * 6
    assert classifiers == [False] * 2 + [True] * 4
    assert features == [True] * 2 + [False] * 4
    assert [len(s.source) for s in watch.steps] == [8, 8, 0]
    assert all(p.requires_grad for p in (*body.parameters(), *head.parameters()))


def test_two_classifiers_take_the_papers_steps():
    plan = Schedule(steps=30, batch=8)
    source, target = pair()
    done = train(*small(), source, target, mcd.Method(agreement=2), plan)
    assert len(mcd.Method(agreement=2).rounds()) == 4
    assert done.curve.term[-1] < done.curve.term[0]


def test_a_domain_may_show_other_inputs_than_it_trains_on():
    source, target = pair()
    asked = {"train": 0, "plain": 0, "again": 0}

    def told(name):
        def feed(rows):
            asked[name] += 1
            return target.inputs[rows]

        return feed

    fed = Domain(told("train"), target.rows, None, told("plain"), told("again"))
    body, head = small()
    train(body, head, source, fed, consistency.Method(), Schedule(steps=5, batch=8))
    assert asked["train"] == asked["again"] == 5
    finished = asked["plain"]
    embed(body, fed)
    assert asked == {"train": 5, "plain": finished + 1, "again": 5}


def test_norms_stay_where_they_are_asked_to():
    source, target = pair()
    for freeze, same in ((True, True), (False, False)):
        torch.manual_seed(0)
        body, head = nn.Sequential(nn.Linear(3, 5), nn.BatchNorm1d(5)), nn.Linear(5, 2)
        plan = Schedule(steps=3, batch=8, freeze_norm=freeze)
        train(body, head, source, target, dann.Method(), plan)
        assert bool((body[1].running_mean == 0).all()) is same


def test_texts_of_several_lengths_are_padded_to_one():
    states = joined([torch.ones(1, 2, 3), torch.ones(2, 4, 3)])
    assert states.shape == (3, 4, 3) and float(states[0, 2:].sum()) == 0
    ids = joined([torch.ones(1, 2, dtype=torch.long), torch.ones(1, 3, dtype=torch.long)])
    assert ids.tolist() == [[1, 1, -1], [1, 1, 1]]
