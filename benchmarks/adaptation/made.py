"""Domains made of sets that have one: pictures and texts spoilt in several ways, for practice.

    python benchmarks/adaptation/made.py DATA OUT

DATA is the folder of benchmark sets. Each domain of a set has rows of its own, so that no row is in two domains;
pictures get noise, blur, low contrast or only their edges, texts get typing errors, lose half of their words or
all but the first six. CR and MR, sentences on products and on films, are two domains as they come.
"""

from __future__ import annotations

import argparse
import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from sets import features, lines

ROWS = 600
"""Of a domain."""
Change = Callable[[Any, Any], Any]


def noisy(picture: Any, draw: Any) -> Any:
    """Normal noise of 50 of 255."""
    return np.clip(picture + draw.normal(0, 50, picture.shape), 0, 255).astype(np.uint8)


def blurred(picture: Any, draw: Any) -> Any:
    """A radius of a twentieth of its width."""
    from PIL import Image, ImageFilter

    found = Image.fromarray(picture).filter(ImageFilter.GaussianBlur(picture.shape[1] / 20))
    return np.asarray(found)


def pale(picture: Any, draw: Any) -> Any:
    """Grey, with a fifth of its contrast."""
    grey = picture.mean(axis=2, keepdims=True)
    return np.repeat(160 + 0.2 * (grey - grey.mean()), 3, axis=2).clip(0, 255).astype(np.uint8)


def edges(picture: Any, draw: Any) -> Any:
    """Dark lines on white."""
    from PIL import Image, ImageFilter, ImageOps

    grey = Image.fromarray(picture).convert("L").filter(ImageFilter.FIND_EDGES)
    return np.asarray(ImageOps.invert(grey).convert("RGB"))


def mistyped(text: str, draw: Any) -> str:
    """Each letter goes missing, or gives way to another, one time in eight."""
    chance = draw.random(len(text))
    other = draw.integers(97, 123, len(text))
    kept = [
        letter if u > 0.125 or letter == " " else ("" if u < 0.06 else chr(n))
        for letter, u, n in zip(text, chance, other, strict=True)
    ]
    return "".join(kept)


def halved(text: str, draw: Any) -> str:
    """Half of its words, in their order."""
    words = text.split()
    return " ".join(word for word in words if draw.random() < 0.5) or words[0]


def begun(text: str, draw: Any) -> str:
    """Its first six words."""
    return " ".join(text.split()[:6])


def plain(given: Any, draw: Any) -> Any:
    """As it is."""
    return given


PICTURES: dict[str, Change] = {"plain": plain, "noisy": noisy, "blurred": blurred, "pale": pale, "edges": edges}  # fmt: skip
TEXTS: dict[str, Change] = {"plain": plain, "mistyped": mistyped, "halved": halved, "begun": begun}


def pictures(path: Path) -> tuple[list[Any], Any]:
    """Those of a zip of class folders, and their labels."""
    from PIL import Image

    found, labels = [], []
    with zipfile.ZipFile(path) as archive:
        for name in sorted(archive.namelist()):
            if name.lower().endswith((".png", ".jpg", ".jpeg")):
                found.append(np.asarray(Image.open(io.BytesIO(archive.read(name))).convert("RGB")))
                labels.append(name.split("/")[-2])
    return found, np.unique(labels, return_inverse=True)[1]


def texts(path: Path) -> tuple[list[str], Any]:
    """Those of JSON lines, and their labels."""
    rows = [row for row in lines(path) if str(row["text"]).strip()]
    labels = [str(row["label"]) for row in rows]
    return [str(row["text"]) for row in rows], np.unique(labels, return_inverse=True)[1]


def split(given: list[Any], labels: Any, changes: dict[str, Change], modality: str) -> Any:
    """Rows of their own for each domain, changed, as features."""
    order, out = np.random.default_rng(3).permutation(len(given)), {}
    for place, (name, change) in enumerate(changes.items()):
        rows = order[place * ROWS : (place + 1) * ROWS]
        draw = np.random.default_rng((3, place))
        x = features([change(given[i], draw) for i in rows], modality)
        out |= {f"X_{name}": x, f"y_{name}": labels[rows], f"g_{name}": np.arange(len(rows))}
    return out


def reviews(data: Path) -> Any:
    """CR and MR."""
    out: dict[str, Any] = {}
    for name in ("cr", "mr"):
        given, labels = texts(data / "text_cls" / f"{name}_all.jsonl.gz")
        rows = np.random.default_rng(3).permutation(len(given))[: 2 * ROWS]
        x = features([given[i] for i in rows], "text")
        out |= {f"X_{name}": x, f"y_{name}": labels[rows], f"g_{name}": np.arange(len(rows))}
    return out


def main() -> None:
    """Compute what is missing."""
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    given = parser.parse_args()
    data = given.data
    makers: dict[str, Callable[[], Any]] = {
        "made_cifar10": lambda: split(
            *pictures(data / "cifar10_subset" / "cifar10_subset.zip"), PICTURES, "image"
        ),
        "made_imagenette": lambda: split(
            *pictures(data / "imagenette_subset" / "imagenette96.zip"), PICTURES, "image"
        ),
        "made_agnews": lambda: split(*texts(data / "text_cls" / "agnews_test.jsonl.gz"), TEXTS, "text"),
        "made_trec": lambda: split(*texts(data / "text_cls" / "trec_train.jsonl.gz"), TEXTS, "text"),
        "snippets_reviews": lambda: reviews(data),
    }  # fmt: skip
    given.out.mkdir(parents=True, exist_ok=True)
    for name, make in makers.items():
        path = given.out / f"{name}.npz"
        if not path.exists():
            values = {k: np.asarray(v) for k, v in make().items()}
            np.savez(path, **values)
            print(name, {k: v.shape for k, v in values.items() if k[0] == "X"}, flush=True)


if __name__ == "__main__":
    main()
