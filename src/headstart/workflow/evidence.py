"""Everything the report shows, as one JSON file: a report can be drawn again without the data."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from headstart.data.decode import BadPicture
from headstart.sources.base import ImageSource
from headstart.workflow.pictures import Pictures
from headstart.workflow.plan import Run
from headstart.workflow.trials import Trial

if TYPE_CHECKING:
    from headstart.types import Array

__all__ = ["gather", "thumbnail"]

MISTAKES = 12
PICTURE = 160


def gather(
    run: Run,
    data: Pictures,
    source: ImageSource,
    tried: Sequence[Trial],
    targets: Array,
    probabilities: Array,
    test: Sequence[int],
    summary: dict[str, Any],
    extra: dict[str, Any],
) -> dict[str, Any]:
    """Collect the evidence of a run.

    Args:
        run, data, source, tried: of the run.
        targets: (test rows,) class indices, opened by the verdict.
        probabilities: (test rows, classes), calibrated.
        test: the test rows' indices.
        summary: what ``--json`` prints.
        extra: diagnosis, calibration, confusion, controls.
    """
    return {
        "summary": {
            **summary,
            "data": {k: v for k, v in summary["data"].items() if k != "left_out"},
        },
        **extra,
        "tried": [trial.as_dict() for trial in tried],
        "findings": [asdict(finding) for finding in data.findings],
        "left_out": [asdict(skip) for skip in data.dataset.skipped],
        "counts": data.dataset.counts,
        "split": {
            "how": data.split.how,
            "train": len(data.split.train),
            "val": len(data.split.val),
            "test": len(data.split.test),
            "folds": len(data.masks) // data.repeats,
            "repeats": data.repeats,
        },
        "source": {
            "name": source.name,
            "architecture": source.architecture,
            "trained_on": source.trained_on,
            "licence": source.licence,
            "parameters": source.parameters,
            "contract": source.contract.as_dict(),
        },
        "engine": {
            **data.sweep.check.as_dict(),
            "seconds": data.sweep.seconds,
            "computed": data.sweep.computed,
        },
        "mistakes": _mistakes(data, targets, probabilities, test),
        "ledger": run.ledger.entries,
        "command": run.plan.command(),
        "fingerprint": data.fingerprint,
        "name": run.plan.name,
        "ranking": run.remembered("ranking.json"),
        "range_tests": _range_tests(run, tried),
    }


def _range_tests(run: Run, tried: Sequence[Trial]) -> list[dict[str, Any]]:
    """The learning-rate range tests of the trials that had one, each with the rate trained at."""
    found = [(trial, run.remembered(f"trials/{trial.method}/range_test.json")) for trial in tried]
    return [
        {"method": trial.method, "used": trial.recipe.rate, **test}
        for trial, test in found
        if trial.recipe and test
    ]


def _mistakes(
    data: Pictures, targets: Array, probabilities: Array, test: Sequence[int]
) -> list[dict[str, Any]]:
    """The wrong answers of which the model was surest, with small pictures."""
    predicted = probabilities.argmax(axis=1)
    sure = probabilities.max(axis=1)
    wrong = np.flatnonzero(predicted != targets)
    order = wrong[np.argsort(-sure[wrong], kind="stable")][:MISTAKES]
    out = []
    for place in order:
        index = test[int(place)]
        row = data.dataset.rows[index]
        try:
            frame = data.sweep.frames.get(data.digests[index], row.origin)
        except BadPicture:
            continue
        out.append(
            {
                "row": row.name,
                "true": data.classes[int(targets[place])],
                "predicted": data.classes[int(predicted[place])],
                "confidence": float(sure[place]),
                "jpeg": thumbnail(frame),
            }
        )
    return out


def thumbnail(frame: Array) -> str:
    """A small JPEG of a frame in base64, at most 160 px on a side."""
    image = Image.fromarray(frame)
    image.thumbnail((PICTURE, PICTURE))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=80)
    return base64.b64encode(buffer.getvalue()).decode("ascii")
