"""Rival: Hugging Face's `Trainer` over the same timm model, as in its image classification guide.

    python hf_trainer.py DATA --out DIR [--epochs 3] [--budget SECONDS]

The guide's settings: RandomResizedCrop, ToTensor and Normalize; learning rate 5e-5, batch size 16,
4 accumulation steps, 3 epochs, 10 % warm-up, the rest `TrainingArguments`' defaults (AdamW, linear
decay, no loader workers: --workers changes that). The model is what transformers makes of a timm
checkpoint: `AutoModelForImageClassification`, i.e. TimmWrapperForImageClassification, and its image
processor, loaded from a local folder in the hub's layout. The guide evaluates and saves after each
epoch and keeps the best one; here the only held-out images are the test set, so it does neither.

With --budget four batches on a copy of the model are the warm-up: the speed of the last three sets
the number of epochs or, where not one fits, the number of updates.
"""

from __future__ import annotations

import copy
from pathlib import Path

import torch
import transformers
from common import Clock, arguments, elapsed, images, labels, report
from PIL import Image
from timm.models import save_for_hf
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import Compose, Normalize, RandomResizedCrop, ToTensor
from transformers import (
    AutoImageProcessor,
    AutoModelForImageClassification,
    DefaultDataCollator,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)
from weights import pretrained

BATCH, ACCUMULATE = 16, 4


class Files(Dataset[dict[str, object]]):
    """The files' pixel values and, for training, labels."""

    def __init__(self, files: list[Path], transform, numbers: list[int] | None = None) -> None:  # type: ignore[no-untyped-def]
        self.files, self.transform, self.numbers = files, transform, numbers

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, i: int) -> dict[str, object]:
        with Image.open(self.files[i]) as image:
            item: dict[str, object] = {"pixel_values": self.transform(image.convert("RGB"))}
        return item if self.numbers is None else item | {"label": self.numbers[i]}


class Deadline(TrainerCallback):
    """Counts the batches and stops the training cleanly before the clock runs out."""

    def __init__(self, clock: Clock) -> None:
        self.clock, self.batches = clock, 0

    def on_train_begin(self, args, state, control, **kwargs):  # type: ignore[no-untyped-def]
        self.clock.start()

    def on_substep_end(self, args, state, control, **kwargs):  # type: ignore[no-untyped-def]
        self.batches += 1
        control.should_training_stop |= not self.clock.more()

    on_step_end = on_substep_end


def seconds_per_image(model: torch.nn.Module, loader: DataLoader[dict[str, object]]) -> float:
    """The time that an image takes in training, loading included, measured on a copy of the model."""
    model = copy.deepcopy(model).train()
    seen, begun, batches = 0, elapsed(), 0
    while batches < 4:
        for batch in loader:
            model(**batch).loss.backward()
            batches += 1
            if batches == 1:  # the first one costs extra
                begun = elapsed()
                continue
            seen += len(batch["pixel_values"])
            if batches == 4:
                break
    return (elapsed() - begun) / seen


def main() -> None:
    args = arguments(__doc__, epochs=3, workers=0)
    transformers.set_seed(args.seed)
    train, test = images(args.data / "train"), images(args.data / args.test)
    names = labels(train, args.data / "train")
    classes = sorted(set(names))
    checkpoint = args.out / "pretrained"
    save_for_hf(pretrained(args.weights, args.size, 1000), str(checkpoint), safe_serialization=True)
    processor = AutoImageProcessor.from_pretrained(checkpoint)
    model = AutoModelForImageClassification.from_pretrained(
        checkpoint,
        num_labels=len(classes),
        id2label=dict(enumerate(classes)),
        label2id={name: i for i, name in enumerate(classes)},
        ignore_mismatched_sizes=True,
        model_args=None,  # timm writes num_classes there, which clashes with num_labels
    )
    config = processor.data_config
    augment = Compose(
        [RandomResizedCrop(args.size), ToTensor(), Normalize(config["mean"], config["std"])]
    )
    settings = TrainingArguments(
        output_dir=str(args.out / "trainer"),
        remove_unused_columns=False,
        learning_rate=5e-5,
        per_device_train_batch_size=BATCH,
        gradient_accumulation_steps=ACCUMULATE,
        per_device_eval_batch_size=BATCH,
        num_train_epochs=args.epochs,
        warmup_steps=0.1,  # below 1: a share of the updates, the guide's warmup_ratio
        logging_steps=10,
        eval_strategy="no",
        save_strategy="no",
        report_to="none",
        dataloader_num_workers=args.workers,
        seed=args.seed,
    )
    trainer = Trainer(
        model=model,
        args=settings,
        data_collator=DefaultDataCollator(),
        train_dataset=Files(train, augment, [classes.index(n) for n in names]),
        processing_class=processor,
    )

    def predict(files: list[Path]) -> list[str]:
        logits = trainer.predict(Files(files, processor.val_transforms)).predictions
        return [classes[i] for i in logits.argmax(1)]

    clock = Clock(args.budget)
    loader = trainer.get_train_dataloader()
    note = f"{args.epochs} epochs"
    if args.budget is not None:
        image = seconds_per_image(model, loader)
        epochs = int(clock.left() / (image * len(train)))
        if epochs:
            settings.num_train_epochs = epochs
            note = f"{epochs} epochs set from the budget"
        else:
            settings.max_steps = max(1, int(clock.left() / (image * BATCH * ACCUMULATE)))
            note = f"no whole epoch fits the budget: {settings.max_steps} updates"
    watch = Deadline(clock)
    trainer.add_callback(watch)
    began = elapsed()
    trainer.train()
    trained = elapsed()
    if trainer.state.global_step < trainer.state.max_steps:
        note += f"; the budget ended after update {trainer.state.global_step}"
    predicted = predict(test)
    scored = elapsed()
    trainer.save_model(str(args.out))
    report(
        "Hugging Face Trainer",
        transformers.__version__,
        args,
        test,
        predicted,
        epochs=watch.batches / len(loader),
        seconds_train=trained - began,
        seconds_score=scored - trained,
        note=note,
    )


if __name__ == "__main__":
    main()
