"""The freeze point, and how a feed's rows are shown to a training on two domains."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.saved_text import save

from headstart.errors import UsageError
from headstart.sources.base import find_image
from headstart.workflow.adapting import candidates
from headstart.workflow.adapting.boundary import _Cut, _Drawn, point_of
from headstart.workflow.adapting.unfrozen import put, taken
from headstart.workflow.texts import find


def test_the_last_block_is_left_to_train(tmp_path):
    picture = find_image("efficientnet_lite0")
    assert point_of(picture) == picture.freeze_point == "blocks.5"
    assert point_of(picture, "blocks.3") == "blocks.3"
    text = find(f"transformers:{save(tmp_path / 'bert', 'bert')}")
    assert point_of(text) == "layers.0"
    assert point_of(text, "input") == "input"
    for source, name in ((picture, "pool"), (picture, "layers.0"), (text, "blocks.1")):
        with pytest.raises(UsageError) as caught:
            point_of(source, name)
        assert "or input" in caught.value.hint


class Feed:
    """Tells which rows and which view it was asked for."""

    def batch(self, rows, epoch=-1):
        return torch.tensor([[10.0 * row + epoch] for row in rows])


def test_each_pass_shows_another_view_and_a_test_the_plain_one():
    drawn = _Drawn(Feed(), [4, 7])
    both = torch.tensor([0, 1])
    assert drawn.view(both).flatten().tolist() == [40, 70]
    assert drawn.other(both).flatten().tolist() == [41, 71], "not the view that was just shown"
    assert drawn.view(both).flatten().tolist() == [41, 71]
    assert drawn.plain(both[:1]).flatten().tolist() == [39]


class Tokens:
    def __init__(self, given):
        self.given = given

    def batch(self, rows, epoch=-1):
        return self.given[rows]


def test_a_texts_second_view_lacks_some_tokens_and_keeps_the_first():
    ids = torch.arange(400).view(4, 100) + 5
    ids[0, 50:] = -1
    cut = _Cut(_Drawn(Tokens(ids), [0, 1, 2, 3]), seed=0, mask=3)(torch.arange(4))
    gone = cut == 3
    assert 0.08 < gone.float().mean() < 0.2 and not gone[:, 0].any()
    assert torch.equal(cut[~gone], ids[~gone]) and (cut[0, 50:] == -1).all()
    states = torch.ones(4, 100, 3)
    cut = _Cut(_Drawn(Tokens(states), [0, 1, 2, 3]), seed=0, mask=3)(torch.arange(4))
    assert set(cut.sum(dim=2).flatten().tolist()) == {0.0, 3.0}, (
        "whole tokens, their mask with them"
    )


def test_a_head_goes_into_a_layer_and_comes_back():
    random = np.random.default_rng(0)
    head = candidates.Head(random.normal(size=(3, 5)), random.normal(size=3))
    layer = torch.nn.Linear(5, 3)
    put(layer, head)
    found = taken(layer)
    assert np.allclose(found.weight, head.weight, atol=1e-6)
    assert np.allclose(found.bias, head.bias, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("mcc@layers.4", "network"),
        ("dapt", "pretrain"),
        ("dapt+consensus", "pretrain"),
        ("dapt+centre+self_training", "pretrain"),
        ("centre+self_training", "chain"),
        ("consensus+nrc", "chain"),
    ],
)
def test_a_candidates_family_is_told_by_its_name(name, family):
    assert candidates.family_of(name) == family


def test_what_the_chooser_offers_is_fitted_unasked():
    from headstart.selection.chooser import OFFERED

    known = {name for _, name in candidates.names("array")}
    assert set(OFFERED.values()) <= known
