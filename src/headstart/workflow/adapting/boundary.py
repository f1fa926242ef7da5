"""Two domains' rows at a freeze point of their source model: what its last blocks are trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch

from headstart.data.texts import digest_of
from headstart.errors import UsageError
from headstart.features.cache import Cache
from headstart.features.extract import Frames
from headstart.features.texts import segments
from headstart.sources.base import ImageSource, usual_point
from headstart.sources.text import TextSource
from headstart.train.feeds import ActivationFeed, PixelFeed, augment_of
from headstart.train.recipe import Recipe
from headstart.train.text_feeds import StateFeed, TokenFeed
from headstart.train.two_domains import Domain as Pool
from headstart.workflow.language import marks

if TYPE_CHECKING:
    from torch import Tensor, nn

    from headstart.data.dataset import Row
    from headstart.sources.base import Network
    from headstart.types import Ints, Reporter
    from headstart.workflow.domains import Domains

__all__ = ["INPUT", "Boundary", "point_of"]

INPUT = "input"
AUTO = "auto"
VIEWS = 4
"""Cached augmented views of each picture."""
CUT = 0.15
"""Share of a text's tokens that its second view lacks (Shen et al. 2020, token cutoff)."""


def point_of(source: Any, asked: str = AUTO) -> str:
    """The freeze point: the one asked for, or one that leaves the last block or layer to train.

    Args:
        source: the source model.
        asked: a point's name, ``input`` for the whole network, or ``auto``.

    Raises:
        UsageError: the source model has no such point, or no blocks to train.
    """
    if isinstance(source, ImageSource):
        names = list(source.freeze_points)
        own = source.freeze_point or usual_point(names)
    else:
        names = [n for n in source.network(pretrained=False).stages if n.startswith("layers.")]
        own = names[-2] if len(names) > 1 else ""
        names = names[:-1]
    if asked == AUTO and own:
        return own
    if asked == INPUT or (asked in names and asked != "pool"):
        return asked
    told = ", ".join([name for name in names if name != "pool"][-6:])
    raise UsageError(
        f"{source.title} has no block that could be trained."
        if asked == AUTO
        else f"{source.title} has no freeze point {asked!r}.",
        f"Its last ones: {told}; or input, for the whole network." if told else "Leave it out.",
    )


@dataclass
class Boundary:
    """Rows of two or more domains at a freeze point, computed once and cached.

    Attributes:
        data: the domains; pictures or texts.
        wanted: places of the rows that will be asked for, sources first and the target behind them.
        point: the freeze point; ``input`` freezes nothing.
        classes: outputs of the head.
        seed: of the augmented views and of the head's first weights.
        cache, reporter: of the run.
    """

    data: Domains
    wanted: Sequence[int]
    point: str
    classes: int
    seed: int
    cache: Cache
    reporter: Reporter

    @cached_property
    def rows(self) -> list[Row]:
        """All rows, the sources' first."""
        return [row for one in (*self.data.sources, self.data.target) for row in one.rows]

    @property
    def text(self) -> bool:
        """Whether the rows are texts."""
        return isinstance(self.data.source, TextSource)

    def network(self) -> Network:
        """A fresh network with the source model's weights."""
        source: Any = self.data.source
        torch.manual_seed(self.seed)
        made: Network = (
            source.network(classes=self.classes)
            if self.text
            else source.build(classes=self.classes)
        )
        return made

    def body(self, network: Network) -> nn.Module:
        """What lies behind the freeze point, without the head."""
        if self.point == INPUT and not self.text:
            from headstart.features.engine import pixels

            source: Any = self.data.source
            return torch.nn.Sequential(pixels(source.contract), network.part())
        return network.part(0 if self.point == INPUT else network.position(self.point))

    @cached_property
    def feed(self) -> Any:
        """Inputs of the body by places; what lies before the freeze point runs once for each."""
        return self._feed(self.wanted, VIEWS)

    def _feed(self, wanted: Sequence[int], views: int) -> Any:
        return self._texts(wanted) if self.text else self._pictures(wanted, views)

    @cached_property
    def _pixels(self) -> PixelFeed:
        source: Any = self.data.source
        domains = (*self.data.sources, self.data.target)
        return PixelFeed(
            [digest for one in domains for digest in one.digests],
            [row.origin for row in self.rows],
            Frames(self.cache),
            source.contract,
            augment_of(self._recipe(VIEWS)),
            self.seed,
        )

    def _recipe(self, views: int) -> Recipe:
        """What a feed asks a recipe for; nothing is trained by it."""
        return Recipe(self.point, 1, 32, 0.0, 0.0, views=views, smallest=0.5)

    def _pictures(self, wanted: Sequence[int], views: int) -> Any:
        source: Any = self.data.source
        if self.point == INPUT:
            return self._pixels
        return ActivationFeed(
            self._pixels,
            list(wanted),
            source.build(),
            self.cache,
            self._recipe(views),
            identity={"source": source.key},
            half_from=source.half_from,
            reporter=self.reporter,
            seed=self.seed,
        )

    @cached_property
    def tokens(self) -> list[list[int]]:
        """Token ids of every text, made once."""
        source: Any = self.data.source
        made: list[list[int]] = source.tokenizer()([row.origin.content for row in self.rows])
        return made

    def _texts(self, wanted: Sequence[int]) -> Any:
        source: Any = self.data.source
        if self.point == INPUT:
            return TokenFeed(self.tokens)
        return StateFeed(
            TokenFeed(self.tokens),
            [digest_of(row.origin.whole) for row in self.rows],
            list(wanted),
            source.network(),
            self.point,
            self.cache,
            identity={
                "source": source.key,
                "length": source.length,
                **segments(self.rows, source),
            },
            reporter=self.reporter,
        )

    def pool(self, places: Ints, labels: Ints | None = None) -> Pool:
        """Some rows as a domain that a training draws from; others than :attr:`wanted` only to be shown.

        Args:
            places: among :attr:`rows`.
            labels: class indices of them.
        """
        given = None if labels is None else torch.as_tensor(labels, dtype=torch.long)
        own = [int(place) for place in places]
        known = self.point == INPUT or set(own) <= set(self.wanted)
        drawn = _Drawn(self.feed if known else self._feed(own, 0), own)
        again = _Cut(drawn, self.seed, self._mask) if self.text else drawn.other
        return Pool(drawn.view, len(drawn.places), given, drawn.plain, again)

    def length(self, place: int) -> int:
        """Tokens of a text; 0 for a picture."""
        return int(self.feed.lengths[place]) if self.text else 0

    @cached_property
    def _mask(self) -> int:
        source: Any = self.data.source
        return marks(source).mask


class _Drawn:
    """A feed's rows by their number in a domain, each time another of the views that there are."""

    def __init__(self, feed: Any, places: list[int]) -> None:
        self.feed, self.places, self.shown = feed, places, 0

    def view(self, rows: Tensor) -> Tensor:
        """The next view."""
        epoch = self.shown // max(len(self.places), 1)
        self.shown += len(rows)
        return self._batch(rows, epoch)

    def other(self, rows: Tensor) -> Tensor:
        """A view that isn't the one that :meth:`view` gave last."""
        return self._batch(rows, (self.shown - 1) // max(len(self.places), 1) + 1)

    def plain(self, rows: Tensor) -> Tensor:
        """The view that predictions are made of."""
        return self._batch(rows, -1)

    def _batch(self, rows: Tensor, epoch: int) -> Tensor:
        found: Tensor = self.feed.batch([self.places[row] for row in rows.tolist()], epoch)
        return found


class _Cut:
    """Texts with some of their tokens gone: states set to zero and left out of the mean, ids masked."""

    def __init__(self, drawn: _Drawn, seed: int, mask: int) -> None:
        self.drawn, self.mask = drawn, mask
        self.random = torch.Generator().manual_seed(seed)

    def __call__(self, rows: Tensor) -> Tensor:
        given = self.drawn.plain(rows)
        gone = torch.rand(given.shape[:2], generator=self.random) < CUT
        gone[:, 0] = False
        if not given.is_floating_point():
            return torch.where(gone & (given >= 0), torch.full_like(given, self.mask), given)
        return given * (~gone)[:, :, None]
