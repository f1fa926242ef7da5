"""What the report says about the choice of a source model."""

from __future__ import annotations

from typing import Any

import pytest

from headstart.report.sources import _beside, ranking


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


def test_names_of_dots_that_lie_close_do_not_cover_each_other() -> None:
    spots = [[100.0, 100.0], [104.0, 104.0], [112.0, 98.0], [300.0, 101.0], [395.0, 100.0]]
    names = ["efficientnet_lite0", "efficientnet_lite1", "mobilenetv2", "resnet50", "vgg16_long"]
    boxes = [
        (x + dx, y + dy, x + dx + 6.6 * len(name), y + dy + 9)
        for (x, y), name, (dx, dy) in zip(
            spots, names, [o for o in _beside(spots, names, 40.0, 420.0) if o], strict=True
        )
    ]
    for first, one in enumerate(boxes):
        assert one[0] >= 40 and one[2] <= 420
        for other in boxes[first + 1 :]:
            assert (
                one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]
            )


def test_a_name_without_room_is_left_to_the_table() -> None:
    spots = [[100.0, 100.0 + 0.5 * i] for i in range(30)]
    found = _beside(spots, ["a_name_of_a_source"] * 30, 40.0, 420.0)
    assert None in found and any(found)
