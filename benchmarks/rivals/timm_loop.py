"""Rival: the plain PyTorch loop over a timm model, as in PyTorch's transfer-learning tutorial.

    python timm_loop.py DATA --out DIR [--epochs 25] [--budget SECONDS]

The tutorial's settings: the whole network is fine-tuned, batch size 4, SGD with lr 0.001 and
momentum 0.9, StepLR(7, 0.1), 25 epochs, cross-entropy, eager float32. The transforms are timm's for
this model (`create_transform`, train and eval). The tutorial keeps the epoch that scores best on
its val folder; that folder is the test set here, so the last epoch is kept and nothing is
validated in between.

With --budget the first epoch, which is the same for every number of epochs, is the warm-up: its
speed sets how many epochs there are. A deadline stops what does not fit.
"""

from __future__ import annotations

from pathlib import Path

import timm
import torch
from common import Clock, arguments, elapsed, images, labels, report
from PIL import Image
from timm.data import create_transform, resolve_data_config
from torch.utils.data import DataLoader, Dataset
from weights import pretrained


class Files(Dataset[tuple[torch.Tensor, int]]):
    """The files' images, transformed, with their class numbers."""

    def __init__(self, files: list[Path], numbers: list[int], transform) -> None:  # type: ignore[no-untyped-def]
        self.files, self.numbers, self.transform = files, numbers, transform

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, i: int) -> tuple[torch.Tensor, int]:
        with Image.open(self.files[i]) as image:
            return self.transform(image.convert("RGB")), self.numbers[i]


def main() -> None:
    args = arguments(__doc__, epochs=25, workers=2)
    torch.manual_seed(args.seed)
    train, test = images(args.data / "train"), images(args.data / args.test)
    names = labels(train, args.data / "train")
    classes = sorted(set(names))
    model = pretrained(args.weights, args.size, len(classes))
    config = resolve_data_config({}, model=model)
    augment = create_transform(**config, is_training=True)
    loader = DataLoader(
        Files(train, [classes.index(n) for n in names], augment),
        batch_size=4,
        shuffle=True,
        num_workers=args.workers,
        persistent_workers=args.workers > 0,
    )
    plain = create_transform(**config, is_training=False)

    def predict(files: list[Path]) -> list[str]:
        model.eval()
        batches = DataLoader(
            Files(files, [0] * len(files), plain), batch_size=32, num_workers=args.workers
        )
        with torch.inference_mode():
            found = [model(x).argmax(1) for x, _ in batches]
        return [classes[i] for i in torch.cat(found)]

    clock = Clock(args.budget)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.001, momentum=0.9)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=7, gamma=0.1)
    loss_of = torch.nn.CrossEntropyLoss()
    began = elapsed()
    batches, epoch, epochs = 0, 0, args.epochs
    while epoch < epochs and not clock.hit:
        model.train()
        running, seen = 0.0, 0
        clock.start()
        for inputs, targets in loader:
            optimizer.zero_grad()
            loss = loss_of(model(inputs), targets)
            loss.backward()
            optimizer.step()
            running += loss.item() * len(inputs)
            seen += len(inputs)
            batches += 1
            if not clock.more():
                break
        scheduler.step()
        epoch += 1
        print(f"epoch {epoch} loss {running / seen:.4f} at {elapsed():.1f} s", flush=True)
        if args.budget is not None and epoch == 1:
            epochs = 1 + max(0, int(clock.left() / (elapsed() - began)))
    trained = elapsed()
    predicted = predict(test)
    scored = elapsed()
    torch.save(model.state_dict(), args.out / "model.pth")
    note = f"{args.epochs} epochs"
    if args.budget is not None:
        note = f"{epochs} epochs set from the budget"
        if clock.hit and batches % len(loader):
            note += f"; it ended after batch {batches} of {epochs * len(loader)}"
    report(
        "timm training loop",
        f"timm {timm.__version__}, torch {torch.__version__}",
        args,
        test,
        predicted,
        epochs=batches / len(loader),
        seconds_train=trained - began,
        seconds_score=scored - trained,
        note=note,
    )


if __name__ == "__main__":
    main()
