"""Numbers and the verdict in plain words."""

from __future__ import annotations

import math
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from headstart.types import number, title, written

__all__ = [
    "Comparison",
    "Sentences",
    "Unit",
    "candidate",
    "clip",
    "count",
    "duration",
    "finite",
    "label",
    "metric",
    "percent",
    "points",
    "sentence",
    "span",
    "tell",
]

SPACE = "\u00a0"
ADVICE_LIMIT = 20.0
"""Beyond so many times the test rows, no number of rows is suggested: the gain may well be none."""

NAMES = {
    "majority": "majority class",
    "mean": "mean of the labels",
    "prevalence": "label frequencies",
    "from_scratch": "from scratch",
    "source_only": "source only",
    "memory": "memory of words",
}
PHRASES = {
    "majority": "always answering with the most frequent class",
    "mean": "always answering with the mean of the labels",
    "prevalence": "always answering with how frequent each label is",
    "bag_of_words": "a linear model on words alone",
    "zero_shot": "taking the class whose name lies nearest",
    "from_scratch": "the same network trained from scratch",
    "memory": "tagging each word as it was mostly tagged in training",
    "linear_probe": "the linear probe on frozen features",
}


@dataclass(frozen=True)
class Comparison:
    """The model against one control or reference method; scores are shares from 0 to 1.

    Attributes:
        name: as in the evidence.
        control: whether it makes the verdict; reference methods stand beside it.
        score: of the control.
        gain, low, high: the model's score minus the control's, with its 95 % interval.
        p: of the exact test.
        says: helps, no evidence or harms.
    """

    name: str
    control: bool
    score: float
    gain: float
    low: float
    high: float
    p: float
    says: str


@dataclass(frozen=True)
class Sentences:
    """What the top of the page says."""

    tone: str
    word: str
    mark: str
    headline: str
    meaning: str
    advice: str


def finite(value: object) -> float | None:
    """A number that can be shown, or None."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def percent(share: float | None) -> str:
    """A share in per cent with one decimal; a dash where there is none."""
    return "–" if share is None else f"{share * 100:.1f}{SPACE}%"


def points(share: float, *, signed: bool = True) -> str:
    """A difference of shares in percentage points.

    >>> points(-0.0512)
    '−5.1'
    """
    text = f"{abs(share) * 100:.1f}"
    if not signed or float(text) == 0:
        return text
    return ("+" if share > 0 else "−") + text


def span(low: float, high: float) -> str:
    """An interval of a difference, in percentage points.

    >>> span(-0.012, 0.0345)
    '−1.2 to 3.5'
    """
    return f"{points(low).lstrip('+')} to {points(high).lstrip('+')}"


@dataclass(frozen=True)
class Unit:
    """How scores and gains in a metric are written: in per cent and points, or as plain numbers."""

    share: bool = True
    metric: str = ""

    @property
    def factor(self) -> float:
        """What a plot multiplies values by."""
        return 100.0 if self.share else 1.0

    @property
    def gain_word(self) -> str:
        """What stands behind a gain."""
        return " points" if self.share else ""

    def score(self, value: float | None) -> str:
        """A score; a dash where there is none."""
        if self.share or value is None:
            return percent(value)
        return written(value, False, self.metric).replace("-", "−")

    def gain(self, value: float, *, signed: bool = True) -> str:
        """A gain."""
        if self.share:
            return points(value, signed=signed)
        return number(value if signed else abs(value), signed=signed).replace("-", "−")

    def span(self, low: float, high: float) -> str:
        """An interval of a gain."""
        return span(low, high) if self.share else f"{self.score(low)} to {self.score(high)}"


def count(value: float, one: str = "", many: str = "") -> str:
    """A whole number with thin separators, and its noun.

    >>> count(1, "row"), count(12345, "row").replace(chr(0x202F), " ")
    ('1 row', '12 345 rows')
    """
    text = f"{round(value):,}".replace(",", "\u202f")
    if not one:
        return text
    return f"{text} {one if round(value) == 1 else many or one + 's'}"


def duration(seconds: float | None) -> str:
    """A time as a person would say it."""
    if seconds is None:
        return "–"
    if seconds < 9.95:
        return f"{seconds:.1f}{SPACE}s"
    if seconds < 100:
        return f"{seconds:.0f}{SPACE}s"
    return f"{seconds / 60:.1f}{SPACE}min" if seconds < 5400 else f"{seconds / 3600:.1f}{SPACE}h"


def label(name: str) -> str:
    """A method's or control's name for people.

    >>> label("linear_probe@mobilenet_v2")
    'linear probe on mobilenet_v2'
    """
    method, _, source = name.partition("@")
    told = NAMES.get(method, method.replace("_", " "))
    return f"{told} on {source}" if source else told


def candidate(name: str) -> str:
    """An adaptation's candidate for people.

    >>> candidate("mcc@layers.4"), candidate("mcc@input"), candidate("centre+self_training")
    ('mcc, trained from layers.4', 'mcc, whole network trained', 'centre+self training')
    """
    method, _, point = name.partition("@")
    told = method.replace("_", " ")
    if not point:
        return told
    return f"{told}, whole network trained" if point == "input" else f"{told}, trained from {point}"


def metric(name: str) -> str:
    """A metric's name for people."""
    return title(name)


def sentence(text: str) -> str:
    """The text with a capital at its start and a stop at its end."""
    text = text.strip()
    return text[:1].upper() + text[1:] + ("" if text[-1:] in ("", ".", "!", "?") else ".")


def clip(text: str, length: int) -> str:
    """The text on one line, shortened in the middle.

    >>> clip("abcdefghij", 7)
    'abcd…ij'
    """
    text = " ".join(str(text).split())
    if len(text) <= length:
        return text
    tail = (length - 1) // 3
    return f"{text[: length - 1 - tail]}…{text[len(text) - tail :]}"


def tell(
    verdict: str,
    comparisons: Sequence[Comparison],
    rows: int,
    run: str = "",
    unit: Unit | None = None,
    modality: str = "image",
) -> Sentences:
    """The verdict, what it means and what to do next; commands stand in backticks.

    Args:
        verdict: ``helps``, ``no evidence`` or ``harms``.
        comparisons: of the run.
        rows: test rows.
        run: the run's folder.
        unit: of the metric; shares by default.
        modality: of the rows, ``image`` or ``text``.
    """
    controls = [item for item in comparisons if item.control]
    if verdict == "helps":
        return Sentences(
            "helps",
            "helps",
            "▲",
            "The transfer helps.",
            _helped(controls, modality),
            _use(run, modality),
        )
    if verdict == "harms":
        worst = min(controls, key=lambda item: item.gain, default=None)
        return Sentences(
            "harms",
            "harms",
            "▼",
            "The transfer harms.",
            _harmed(worst, unit or Unit()),
            _mend(worst, modality),
        )
    return Sentences(
        "unclear",
        "no evidence",
        "●",
        "No evidence that the transfer helps.",
        _unclear(controls, rows),
        _more(controls, rows),
    )


NOUNS = {"image": "pictures", "text": "texts"}


def _join(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def _phrase(item: Comparison) -> str:
    return PHRASES.get(item.name, label(item.name))


def _helped(controls: Sequence[Comparison], modality: str) -> str:
    over = ", and over ".join(_phrase(item) for item in controls) or "its controls"
    return (
        f"What the source model had learned carries over to these {NOUNS[modality]}: the gain over {over}, "
        "is larger than chance explains."
    )


def _use(run: str, modality: str) -> str:
    new = "NEW.txt" if modality == "text" else "NEW.jpg"
    command = f" with `headstart predict {shlex.quote(run)} {new}`" if run else ""
    others = (
        "other things, people or times" if modality == "text" else "another camera, place or time"
    )
    return (
        f"Use the model{command}. Look through the mistakes and the notes on the data below first: "
        f"the score holds for {NOUNS[modality]} like the test rows, not for {others}."
    )


def _unclear(controls: Sequence[Comparison], rows: int) -> str:
    open_ones = [item for item in controls if item.says == "no evidence"]
    if not open_ones:
        return "There is no control that the model could be compared with."
    over = _join([_phrase(item) for item in open_ones])
    return (
        f"On {count(rows, 'test row')}, the difference between the model and {over} "
        "is no larger than chance gives: the transfer may help a little, or not at all."
    )


def _more(controls: Sequence[Comparison], rows: int) -> str:
    needs = [
        rows * ((item.high - item.low) / 2 / item.gain) ** 2
        for item in controls
        if item.says == "no evidence" and item.gain > 0
    ]
    text = "Label more rows, or try another source model with `--source`."
    if needs and rows < max(needs) <= ADVICE_LIMIT * rows:
        digits = 1 - math.floor(math.log10(max(needs)))
        text += (
            f" If the gain is as large as it looks, about {count(round(max(needs), digits))} test "
            "rows would show it."
        )
    return f"{text} Until then, choose by cost, not by score."


def _harmed(worst: Comparison | None, unit: Unit) -> str:
    over = _phrase(worst) if worst else "a control"
    by = f" by {unit.gain(abs(worst.gain), signed=False)}{unit.gain_word}" if worst else ""
    return f"On the same test rows, {over} does better{by}, and by more than chance explains."


def _mend(worst: Comparison | None, modality: str) -> str:
    if worst and worst.name in ("majority", "mean", "prevalence"):
        return (
            "Don't use this model. It has learned less than nothing, which mostly means that "
            "labels or files are mixed up: look at the notes on the data and the mistakes below."
        )
    return (
        "Don't use this model. Train from scratch instead, or name a source model that was trained "
        f"on {NOUNS[modality]} more like these with `--source`."
    )
