"""Rival: fastai's `vision_learner` and `fine_tune`, as in its documentation.

    python fastai_finetune.py DATA --out DIR [--epochs 4] [--budget SECONDS]

Every setting is fastai's default: batch size 64, `Resize(size)` for each item, the default head,
base_lr 2e-3, one frozen epoch and then `--epochs` unfrozen ones, one loader worker per core. The
4 epochs are those of the fastai book's own small image folder (chapter 2, `fine_tune(4)`).
Differences, all in its favour or needed: the validation pass after each epoch is left out (the
only held-out images are the test set, and fastai selects nothing by it), `--validate` brings it
back; a training set smaller than a batch is one batch, since fastai drops incomplete ones.

With --budget the frozen epoch, which is the same for every number of epochs, is the warm-up: its
speed sets the number of unfrozen epochs, at least one. Where that epoch has fewer than four batches,
most of it is start-up: then a few batches through a copy of the unfrozen model are timed instead. A
deadline stops what does not fit.
"""

from __future__ import annotations

import copy
import sys
from pathlib import Path

from common import Clock, arguments, elapsed, images, report
from fastai import __version__
from fastai.vision.all import (
    Callback,
    CancelFitException,
    CancelValidException,
    ImageDataLoaders,
    Learner,
    Resize,
    accuracy,
    set_seed,
    vision_learner,
)
from weights import NAME, write_weights

UNFROZEN = 1.1  # an unfrozen batch against a frozen one, whose batch norms are trained all the same


class SkipValidation(Callback):
    """No validation pass between the epochs."""

    def before_validate(self) -> None:
        raise CancelValidException


class Deadline(Callback):
    """Counts the batches and stops the fit cleanly before the clock runs out."""

    def __init__(self, clock: Clock) -> None:
        self.clock, self.batches = clock, 0

    def before_train(self) -> None:
        self.clock.start()

    def after_batch(self) -> None:
        if self.training:
            self.batches += 1
            if not self.clock.more():
                raise CancelFitException


def seconds_per_epoch(learn: Learner) -> float:
    """The time of an unfrozen epoch, by batches on a copy of the model; the first one isn't counted."""
    model = copy.deepcopy(learn.model).train()
    for parameter in model.parameters():
        parameter.requires_grad_(True)
    seen, begun = -1, elapsed()
    while seen < 40:
        for x, y in learn.dls.train:
            learn.loss_func(model(x), y).backward()
            if seen < 0:
                seen, begun = 0, elapsed()
            else:
                seen += len(x)
    return (elapsed() - begun) / seen * len(learn.dls.train) * learn.dls.train.bs


def fine_tune(learn: Learner, clock: Clock, watch: Deadline, cbs: list[Callback]) -> str:
    """`Learner.fine_tune` with its defaults, its number of epochs set after the frozen epoch."""
    base_lr, lr_mult = 2e-3, 100
    began = elapsed()
    learn.freeze()
    learn.fit_one_cycle(1, slice(base_lr), pct_start=0.99, cbs=cbs)
    if clock.hit:
        return f"the budget ended in the frozen epoch, after {watch.batches} batches"
    few = len(learn.dls.train) < 4
    epoch = seconds_per_epoch(learn) if few else (elapsed() - began) * UNFROZEN
    epochs = max(1, int(clock.left() / epoch))
    learn.unfreeze()
    base_lr /= 2
    learn.fit_one_cycle(epochs, slice(base_lr / lr_mult, base_lr), pct_start=0.3, div=5.0, cbs=cbs)
    note = f"{epochs} epochs set from the budget"
    planned = (1 + epochs) * len(learn.dls.train)
    if watch.batches < planned:
        note += f"; it ended after batch {watch.batches} of {planned}"
    return note


def main() -> None:
    validate = "--validate" in sys.argv
    sys.argv = [a for a in sys.argv if a != "--validate"]
    args = arguments(__doc__, epochs=4, workers=None)
    set_seed(args.seed)
    train, test = images(args.data / "train"), images(args.data / args.test)
    loaders = ImageDataLoaders.from_folder(
        args.data,
        train="train",
        valid=args.test,
        item_tfms=Resize(args.size),
        num_workers=args.workers,
        bs=min(64, len(train)),
    )
    learn = vision_learner(
        loaders,
        NAME,
        metrics=accuracy,
        path=args.out.resolve(),
        pretrained_cfg_overlay={"file": str(write_weights(args.weights))},
    )

    def predict(files: list[Path]) -> list[str]:
        probabilities, _ = learn.get_preds(dl=learn.dls.test_dl(files))
        return [learn.dls.vocab[i] for i in probabilities.argmax(1)]

    clock = Clock(args.budget)
    watch = Deadline(clock)
    cbs = [watch] if validate else [watch, SkipValidation()]
    began = elapsed()
    if args.budget is None:
        learn.fine_tune(args.epochs, cbs=cbs)
        note = f"fine_tune({args.epochs})"
    else:
        note = fine_tune(learn, clock, watch, cbs)
    trained = elapsed()
    predicted = predict(test)
    scored = elapsed()
    learn.export("export.pkl")
    report(
        "fastai fine_tune",
        __version__,
        args,
        test,
        predicted,
        epochs=max(0.0, watch.batches / len(loaders.train) - 1),
        seconds_train=trained - began,
        seconds_score=scored - trained,
        note=note,
    )


if __name__ == "__main__":
    main()
