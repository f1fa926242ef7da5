"""The gap between training and test score in any metric: does the model know its own rows best?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from headstart.evaluate.paired import resampled

if TYPE_CHECKING:
    from headstart.tasks.base import Measure
    from headstart.types import Array

__all__ = ["gap"]

WIDE = 0.10
"""A gap surely beyond this share (of less error: this share of the test's) is far; a convention."""


def gap(
    measure: Measure,
    fitted: tuple[Array, Array],
    held_out: tuple[Array, Array],
    test: tuple[Array, Array],
    seed: int,
) -> dict[str, Any]:
    """Scores of the training, validation and test rows, and the first less the last.

    Args:
        measure: the metric.
        fitted, held_out, test: targets and outputs of each part's rows.
        seed: of the bootstrap, which resamples each part by itself.

    Returns:
        ``train``, ``validation``, ``test``; ``gap``: value, low and high of its 95 % interval, a
        positive one where the training rows are better; ``says``: a sentence.
    """
    scores = [measure.exact(*part) for part in (fitted, held_out, test)]
    drawn = [resampled(measure, *part, seed + place) for place, part in enumerate((fitted, test))]
    rows = min(map(len, drawn))
    apart = measure.sign * (drawn[0][:rows] - drawn[1][:rows])
    low, high = np.nanquantile(apart, [0.025, 0.975])
    wide = WIDE if measure.higher else WIDE * abs(scores[2])
    if low > wide:
        says = "The model knows its training rows far better than new ones."
    elif low > 0:
        says = "The model does somewhat better on its training rows, as most models do."
    else:
        says = "No sign of overfitting: training and test scores agree."
    value = measure.sign * (scores[0] - scores[2])
    return {
        "train": scores[0],
        "validation": scores[1],
        "test": scores[2],
        "gap": [value, float(low), float(high)],
        "says": says,
    }
