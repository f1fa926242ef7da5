"""One pass over the data: read, check, decode, and extract frozen features, each once per input."""

from __future__ import annotations

import json
import struct
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from headstart.data.dataset import Row
from headstart.data.decode import (
    FRAME_SIDE,
    THUMB,
    BadPicture,
    Facts,
    decode,
    frame_to_view,
    load_bytes,
    thumbnail,
)
from headstart.features.cache import Cache, Space
from headstart.features.engine import Check, Engine, choose
from headstart.features.pipeline import chunks, flow
from headstart.features.swept import Swept
from headstart.types import Reporter, Skip

if TYPE_CHECKING:
    from headstart.sources.base import Contract, ImageSource, Network
    from headstart.types import Array

__all__ = ["Frames", "Record", "Sweep", "sweep"]

RECORDS_VERSION = 1


@dataclass(frozen=True)
class Record:
    """What one pass learned of a picture: its facts and thumbnail, or why it can't be used."""

    facts: Facts | None
    thumb: Array | None
    bad: str = ""

    def pack(self) -> bytes:
        """As bytes, for the cache."""
        head = {"bad": self.bad, "facts": self.facts.as_dict() if self.facts else None}
        body = self.thumb.tobytes() if self.thumb is not None else b"\0" * THUMB * THUMB
        return body + json.dumps(head).encode()

    @classmethod
    def unpack(cls, blob: bytes) -> Record:
        """The inverse of :meth:`pack`."""
        head = json.loads(blob[THUMB * THUMB :])
        thumb = np.frombuffer(blob[: THUMB * THUMB], np.uint8).reshape(THUMB, THUMB)
        facts = Facts(**head["facts"]) if head["facts"] else None
        return cls(facts, None if head["bad"] else thumb, head["bad"])


class Frames:
    """Decoded frames by digest, from the cache or, where it has let go of one, from the file."""

    def __init__(self, cache: Cache) -> None:
        self.space = cache.space("frames", side=FRAME_SIDE, version=RECORDS_VERSION)
        self.budget = cache.limit // 2
        self.stored = 0

    def get(self, digest: str, origin: Any) -> Array:
        """One frame, uint8 (height, width, 3).

        Raises:
            BadPicture: it is in neither place any more.
        """
        blob = self.space.get(digest)
        if blob is not None:
            height, width = struct.unpack("<HH", blob[:4])
            return np.frombuffer(blob, np.uint8, offset=4).reshape(height, width, 3)
        data, now = load_bytes(origin)
        if now != digest:
            raise BadPicture("the file has changed since it was read")
        return decode(data, origin)[0]

    @staticmethod
    def pack(frame: Array) -> bytes:
        """A frame as bytes, with its height and width first."""
        return struct.pack("<HH", *frame.shape[:2]) + frame.tobytes()

    def put(self, items: list[tuple[str, bytes]]) -> None:
        """Store frames while they take less than half the cache's limit."""
        self.stored += sum(len(blob) for _, blob in items)
        if self.stored < self.budget:
            self.space.put(items, keep=False)


@dataclass(kw_only=True)
class Sweep(Swept):
    """What the pass over pictures gave.

    Attributes:
        facts: of each row, None for a row that can't be used.
        thumbs: uint8, (rows, 32, 32); zeros for a row that can't be used.
        frames: decoded pictures by digest.
    """

    facts: list[Facts | None]
    thumbs: Array
    frames: Frames


@dataclass
class _Chunk:
    rows: Sequence[int]
    digests: list[str]
    records: list[Record]
    fresh: list[tuple[str, bytes]]
    frames: list[tuple[str, bytes]]
    wanted: list[str]


def sweep(
    rows: Sequence[Row],
    source: ImageSource,
    network: Network | None,
    cache: Cache,
    reporter: Reporter,
    *,
    only: str | None = None,
    weights: str = "",
    engines: dict[str, tuple[Engine, Check]] | None = None,
    title: str = "Reading pictures and extracting features",
) -> Sweep:
    """Read every row once and extract the features of its evaluation view.

    Args:
        rows: what to read.
        source: the source model.
        network: its network if it is built already; otherwise it is built when first needed.
        cache: where records, frames and features are kept.
        reporter: progress.
        only: the name of one engine to use alone.
        weights: a fingerprint that tells apart networks of the same source.
        engines: engines built before, by source; one that is built now is added.
        title: of the progress bar.

    Returns:
        digests, facts, skips and the features' space.
    """
    begun = time.perf_counter()
    contract = source.contract
    records = cache.space("records", version=RECORDS_VERSION)
    frames = Frames(cache)
    features = cache.space(
        "features",
        source=source.key,
        weights=weights,
        contract=contract.as_dict(),
        engine=only or "fastest",
        boundary="pool",
        version=RECORDS_VERSION,
    )
    out = Sweep(
        digests=[""] * len(rows),
        facts=[None] * len(rows),
        thumbs=np.zeros((len(rows), THUMB, THUMB), np.uint8),
        skips=[],
        features=features,
        frames=frames,
        check=Check("cached", "", 1.0, 0.0),
        width=source.width,
    )

    def make(first: Array) -> Engine:
        known = engines.get(source.name) if engines is not None else None
        engine, out.check = known or choose(
            network or source.build(), contract, first, half_from=source.half_from, only=only
        )
        if engines is not None:
            engines[source.name] = engine, out.check
        features.note({"check": out.check.as_dict()})
        return engine

    with reporter.step(title, len(rows)) as step:

        def settle(chunk: _Chunk, outputs: Array | None) -> None:
            for index, digest, record in zip(chunk.rows, chunk.digests, chunk.records, strict=True):
                if record.bad:
                    out.skips.append(Skip(rows[index].name, record.bad))
                    continue
                assert record.thumb is not None
                out.digests[index], out.facts[index] = digest, record.facts
                out.thumbs[index] = record.thumb
            records.put(chunk.fresh)
            frames.put(chunk.frames)
            if outputs is not None:
                if not out.computed:
                    out.started, out.first = time.perf_counter() - begun, len(outputs)
                out.computed += len(outputs)
                outputs = np.ascontiguousarray(outputs, dtype="<f4")
                features.put(
                    [(key, row.tobytes()) for key, row in zip(chunk.wanted, outputs, strict=True)]
                )
            step.advance(len(chunk.rows))

        def prepare(job: Sequence[int]) -> tuple[_Chunk, Array | None]:
            return _prepare(job, rows, contract, records, frames, features)

        flow(chunks(len(rows)), prepare, make, settle).run()
    for space in (records, features):
        space.flush()
    frames.space.flush(keep=False)
    if not out.computed:
        known = features.note().get("check")
        if known:
            out.check = Check(**{**known, "notes": tuple(known["notes"])})
    out.seconds = time.perf_counter() - begun
    return out


def _prepare(
    job: Sequence[int],
    rows: Sequence[Row],
    contract: Contract,
    records: Space,
    frames: Frames,
    features: Space,
) -> tuple[_Chunk, Array | None]:
    """Read and, where the cache doesn't know them yet, decode the rows of one chunk."""
    chunk = _Chunk(job, [], [], [], [], [])
    views: list[Array] = []
    for index in job:
        origin = rows[index].origin
        try:
            data, digest = load_bytes(origin)
        except BadPicture as error:
            chunk.digests.append("")
            chunk.records.append(Record(None, None, str(error)))
            continue
        chunk.digests.append(digest)
        known = records.get(digest)
        record = Record.unpack(known) if known else None
        if record is None or not (record.bad or digest in features):
            frame = None
            if record is None:
                try:
                    frame, facts = decode(data, origin)
                    record = Record(facts, thumbnail(frame))
                    chunk.frames.append((digest, Frames.pack(frame)))
                except BadPicture as error:
                    record = Record(None, None, str(error))
                chunk.fresh.append((digest, record.pack()))
            if not record.bad and digest not in features and digest not in chunk.wanted:
                frame = frames.get(digest, origin) if frame is None else frame
                views.append(frame_to_view(frame, contract.resize, contract.size))
                chunk.wanted.append(digest)
        chunk.records.append(record)
    return chunk, np.stack(views) if views else None
