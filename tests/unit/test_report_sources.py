"""What the report says about the choice of a source model."""

from __future__ import annotations

from typing import Any

import pytest

from headstart.report.sources import ranking


def _found(best: float, regret: float, tied: list[str]) -> dict[str, Any]:
    places = [
        {
            "name": name,
            "score": score,
            "interval": [score - 0.05, score + 0.05],
            "best": share,
            "regret": lost,
            "rows": 200,
            "seconds": 1.0,
            "macs": 1000,
        }
        for name, score, share, lost in (
            ("large", 0.9, best, regret),
            ("small", 0.88, 1 - best, 0.03),
        )
    ]
    return {"chosen": "large", "tied": tied, "places": places, "rows": 200, "mismatch": ""}


@pytest.mark.parametrize(
    ("best", "tied", "words"),
    [
        (0.97, [], "large is ahead of every other source model."),
        (0.62, [], "likeliest to be best (62 %)"),
        (0.55, ["small"], "Nothing separates large from small"),
    ],
)
def test_the_sentence_is_as_sure_as_the_probability(
    best: float, tied: list[str], words: str
) -> None:
    seen = ranking(_found(best, 0.012, tied), ("a", "b"))
    assert seen is not None
    assert words in seen.says
    if "likeliest" in words:
        assert "1.2 points" in seen.says


def test_no_ranking_makes_no_section() -> None:
    assert ranking(None, ("a", "b")) is None
