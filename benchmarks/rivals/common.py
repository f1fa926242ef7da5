"""What the rival scripts share: arguments, the process clock, the budget, the result line."""

from __future__ import annotations

import argparse
import json
import math
import os
import time
from collections.abc import Sequence
from pathlib import Path

SUFFIXES = {".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp"}


def _age() -> float:
    """Seconds since this process started, interpreter start included (0 where unknown)."""
    try:
        stat = Path("/proc/self/stat").read_text()
        started = int(stat.rpartition(")")[2].split()[19]) / os.sysconf("SC_CLK_TCK")
        return time.clock_gettime(time.CLOCK_BOOTTIME) - started
    except (OSError, AttributeError):
        return 0.0


_STARTED = time.perf_counter() - _age()


def elapsed() -> float:
    """Seconds since the process started."""
    return time.perf_counter() - _STARTED


def arguments(doc: str | None, *, epochs: int, workers: int | None) -> argparse.Namespace:
    """Parse the command line every rival shares; the defaults are the rival's documented ones."""
    parser = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, help="folder with train/<class>/* and val/<class>/*")
    parser.add_argument("--test", default="val", help="name of the scored folder (%(default)s)")
    parser.add_argument("--out", type=Path, required=True, help="folder for the trained model")
    parser.add_argument("--weights", type=Path, help="see weights.py (OUT/pretrained.pth)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=epochs, help="epochs (%(default)s)")
    parser.add_argument("--size", type=int, default=224, help="image side (%(default)s)")
    parser.add_argument("--workers", type=int, default=workers, help="of the loader (%(default)s)")
    parser.add_argument("--budget", type=float, help="process seconds; sets the epochs")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    args.weights = args.weights or args.out / "pretrained.pth"
    return args


def images(root: Path) -> list[Path]:
    """The image files of ROOT/<class>/*, sorted by their path relative to ROOT."""
    found = [f for f in root.glob("*/**/*") if f.suffix.lower() in SUFFIXES and f.is_file()]
    if not found:
        raise SystemExit(f"no images under {root}")
    return sorted(found, key=lambda f: f.relative_to(root).as_posix())


def labels(files: Sequence[Path], root: Path) -> list[str]:
    """The class of each file: the first folder of its path relative to ROOT."""
    return [f.relative_to(root).parts[0] for f in files]


class Clock:
    """The time left for training: none is missing without a budget.

    Loading and building come out of the budget; scoring the test set at the end does not.
    """

    def __init__(self, budget: float | None) -> None:
        self.stop = math.inf if budget is None else budget
        self.hit = False
        self._last = elapsed()

    def left(self) -> float:
        """Seconds left for training."""
        return self.stop - elapsed()

    def start(self) -> None:
        """The next batch starts now."""
        self._last = elapsed()

    def more(self) -> bool:
        """After a batch: whether another one, as long as this one, still fits."""
        now = elapsed()
        self.hit = self.hit or 2 * now - self._last > self.stop
        self._last = now
        return not self.hit


def allocator() -> dict[str, str]:
    """The C allocator's settings from the environment: they change PyTorch's CPU speed a lot."""
    return {
        k: v for k, v in os.environ.items() if k.startswith(("MALLOC_", "LD_PRELOAD", "GLIBC_"))
    }


def report(
    rival: str,
    version: str,
    args: argparse.Namespace,
    files: Sequence[Path],
    predicted: Sequence[str],
    *,
    epochs: float,
    seconds_train: float,
    seconds_score: float,
    note: str,
) -> None:
    """Print the result as one JSON object on the last line of the output."""
    truth = labels(files, args.data / args.test)
    correct = [int(p == t) for p, t in zip(predicted, truth, strict=True)]
    result = {
        "rival": rival,
        "version": version,
        "accuracy": sum(correct) / len(correct),
        "n_test": len(correct),
        "seconds_total": round(elapsed(), 2),
        "seconds_train": round(seconds_train, 2),
        "seconds_score": round(seconds_score, 2),
        "epochs": round(epochs, 2),
        "size": args.size,
        "seed": args.seed,
        "budget": args.budget,
        "note": note,
        "workers": "default" if args.workers is None else args.workers,
        "allocator": allocator(),
        "correct": correct,
    }
    print(json.dumps(result), flush=True)
