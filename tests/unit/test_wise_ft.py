"""Weights between the source model and the fine-tuned one."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from headstart.methods.keep.wise_ft import Method, interpolate


def test_the_ends_are_the_ends_and_the_middle_is_between():
    start = {"w": torch.tensor([0.0, 2.0]), "count": torch.tensor(1)}
    end = {"w": torch.tensor([1.0, -2.0]), "count": torch.tensor(9)}
    assert torch.equal(interpolate(start, end, 0.0)["w"], start["w"])
    assert torch.equal(interpolate(start, end, 1.0)["w"], end["w"])
    quarter = interpolate(start, end, 0.25)
    assert quarter["w"].tolist() == [0.25, 1.0] and quarter["count"] == 9
    quarter["w"].zero_()
    assert end["w"].tolist() == [1.0, -2.0], "new tensors"


@pytest.mark.parametrize(
    ("losses", "share"),
    [([3, 2, 1.0], 1.0), ([1, 2, 3.0], 0.0), ([2, 1, 2.0], 0.5), ([1, 1, 1.0], 1.0)],
)
def test_the_share_with_the_lowest_loss_is_chosen(losses, share):
    assert Method(steps=3).choose(np.array(losses)) == share


@pytest.mark.parametrize("steps", [2, 6, 51])
def test_both_ends_are_tried(steps):
    shares = Method(steps=steps).shares()
    assert len(shares) == steps and (shares[0], shares[-1]) == (0.0, 1.0)
