"""Several source domains, and how much each counts."""

import numpy as np
import pytest

from headstart.methods.align import combine_sources
from headstart.methods.align.weight_sources import Method, likeness
from headstart.methods.domains import Domains


def several(rows: int = 300) -> tuple[Domains, np.ndarray]:
    """Two sources: one like the target, one elsewhere whose classes differ along another axis."""
    random = np.random.default_rng(0)
    labels = np.arange(rows) % 2
    near, far, target = (random.normal(size=(rows, 12)) for _ in range(3))
    near[:, 0] += 1.5 * labels
    target[:, 0] += 1.5 * labels
    far[:, 0] -= 1.5 * labels
    far[:, 1] += 4
    both, twice = np.concatenate([near, far]), np.concatenate([labels, labels])
    origins = np.repeat([0, 1], rows)
    return Domains(both, twice, target, 2, origins=origins), labels


def test_the_source_that_is_like_the_target_counts() -> None:
    given, truth = several()
    found = likeness(given.source, given.target, given.origins)
    assert found[0] > 0.8 and found[1] < 0.1
    before = (given.source_only.predict(given.target) == truth).mean()
    after = (Method().align(given).predict(given.target) == truth).mean()
    assert after > before + 0.1


def test_one_source_and_tiny_ones_change_nothing() -> None:
    given, _ = several()
    alone = given.subset(given.origins == 0)
    assert Method().align(alone) is alone.source_only
    rows = np.r_[0:5, 300:305]
    tiny = Domains(
        given.source[rows], given.labels[rows], given.target, 2, origins=given.origins[rows]
    )
    assert np.allclose(Method().align(tiny).weight, tiny.source_only.weight)


@pytest.mark.parametrize("each", ["none", "self_training", "bda+self_training"])
def test_sources_that_contradict_each_other_vote_by_likeness(each: str) -> None:
    given, truth = several()
    before = (given.source_only.predict(given.target) == truth).mean()
    head = combine_sources.Method(each=each).align(given)
    assert (head.predict(given.target) == truth).mean() > before + 0.1


def test_a_source_that_lacks_a_class_does_not_vote() -> None:
    given, _ = several()
    kept = (given.origins == 0) | (given.labels == 0)
    part = given.subset(kept)
    voted = combine_sources.Method(each="none").align(part)
    near = given.subset(given.origins == 0).source_only.evened(given.target)
    assert np.allclose(voted.weight, near.weight)
    single = given.subset(given.origins == 0)
    assert combine_sources.Method().align(single) is single.source_only
