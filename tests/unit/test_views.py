"""Augmented views: the same for the same seed, row and view, and never something else than asked."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from headstart.features import randaugment
from headstart.features.views import Augment, augmented, generator

STILL = Augment(smallest=1.0, mirror=False, turn=False, light=0.0)


@pytest.fixture(scope="module")
def frame(scenes) -> np.ndarray:
    """A real photograph as a frame: 256 px on the short side."""
    return np.asarray(Image.fromarray(scenes["china"]).resize((384, 256)))


def view(frame, row, number, seed=0, how=Augment(), size=64) -> np.ndarray:  # noqa: B008
    return augmented(frame, size, how, generator(seed, row, number))


def test_a_view_depends_on_seed_row_and_number_alone(frame):
    wanted = {(row, n): view(frame, row, n) for row in range(4) for n in range(3)}
    for row, n in reversed(list(wanted)):
        assert np.array_equal(view(frame, row, n), wanted[row, n])
    distinct = {picture.tobytes() for picture in wanted.values()}
    assert len(distinct) == 12
    assert not np.array_equal(view(frame, 0, 0, seed=1), wanted[0, 0])


def test_a_view_is_the_same_from_several_threads(frame):
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda n: view(frame, n % 8, 1), range(64)))
    for n, picture in enumerate(made):
        assert np.array_equal(picture, made[n % 8])


@pytest.mark.parametrize("shape", [(256, 384), (256, 256), (4, 12), (10, 30), (256, 768), (30, 10)])
@pytest.mark.parametrize("size", [32, 224])
def test_every_shape_of_frame_gives_a_square(shape, size):
    picture = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    for number in range(8):
        made = view(picture, 0, number, how=Augment(turn=True), size=size)
        assert made.shape == (size, size, 3) and made.dtype == np.uint8
        assert made.flags["C_CONTIGUOUS"]


def test_the_frame_is_left_alone(frame):
    before = frame.copy()
    view(frame, 0, 0, how=Augment(turn=True))
    assert np.array_equal(frame, before)


def test_crops_keep_at_least_the_smallest_share():
    """A frame whose pixels tell their place shows how much of it a view kept."""
    y, x = np.mgrid[0:256, 0:256].astype(np.uint8)
    frame = np.dstack([x, y, np.zeros_like(x)])
    how = Augment(smallest=0.4, mirror=False, turn=False, light=0.0)
    shares = []
    for number in range(200):
        made = view(frame, 0, number, how=how).astype(int)
        wide = made[..., 0].max() - made[..., 0].min() + 4
        high = made[..., 1].max() - made[..., 1].min() + 4
        shares.append(wide * high / 256**2)
    assert min(shares) > 0.4 * 0.93 and max(shares) < 1.05
    assert np.percentile(shares, 80) - np.percentile(shares, 20) > 0.2, "they vary"


def test_without_changes_the_whole_frame_is_kept():
    """Only the shape of the crop is left to chance, and the largest one is nearly the frame."""
    y, x = np.mgrid[0:256, 0:256].astype(np.uint8)
    frame = np.dstack([x, y, np.zeros_like(x)])
    made = [view(frame, 0, n, how=STILL).astype(int) for n in range(20)]
    assert all(picture[..., 0].max() - picture[..., 0].min() > 210 for picture in made)


def test_half_the_views_are_mirrored_and_none_if_not_asked():
    ramp = np.tile(np.linspace(0, 255, 256).astype(np.uint8)[None, :, None], (256, 1, 3))
    for mirror, wanted in ((True, (70, 130)), (False, (0, 0))):
        how = Augment(mirror=mirror, light=0.0)
        made = [view(ramp, 0, n, how=how, size=16) for n in range(200)]
        falls = sum(int(picture[0, 0, 0]) > int(picture[0, -1, 0]) for picture in made)
        assert wanted[0] <= falls <= wanted[1]


def test_views_are_turned_only_if_asked():
    ramp = np.tile(np.linspace(0, 255, 256).astype(np.uint8)[:, None, None], (1, 256, 3))

    def uppermost(picture: np.ndarray) -> str:
        sides = {
            "top": picture[0].mean(),
            "bottom": picture[-1].mean(),
            "left": picture[:, 0].mean(),
            "right": picture[:, -1].mean(),
        }
        return max(sides, key=sides.get)

    upright = {uppermost(view(ramp, 0, n, how=Augment(light=0.0), size=16)) for n in range(60)}
    turned = [
        uppermost(view(ramp, 0, n, how=Augment(turn=True, light=0.0), size=16)) for n in range(200)
    ]
    assert upright == {"bottom"}
    assert all(30 <= turned.count(side) <= 70 for side in ("top", "bottom", "left", "right"))


def test_light_changes_brightness_within_its_limit(frame):
    grey = np.full((64, 64, 3), 100, np.uint8)
    values = [int(view(grey, 0, n, how=Augment(light=0.2))[0, 0, 0]) for n in range(200)]
    assert 79 <= min(values) < 88 and 112 < max(values) <= 121
    assert {int(view(grey, 0, n, how=Augment(light=0.0))[0, 0, 0]) for n in range(20)} == {100}


# ---- RandAugment ---------------------------------------------------------------------------

VARIED = Augment(smallest=1.0, mirror=False, light=0.0, kind="randaugment")


def test_randaugment_depends_on_seed_row_and_number_alone(frame):
    from concurrent.futures import ThreadPoolExecutor

    import torch

    wanted = [view(frame, n, 2, how=VARIED) for n in range(24)]
    torch.manual_seed(5)
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda n: view(frame, n, 2, how=VARIED), range(24)))
    assert all(np.array_equal(a, b) for a, b in zip(wanted, made, strict=True))
    assert len({picture.tobytes() for picture in wanted}) > 18, "pictures are varied"
    assert all(picture.shape == (64, 64, 3) and picture.dtype == np.uint8 for picture in wanted)


@pytest.mark.parametrize("name", randaugment.OPERATIONS)
def test_an_operation_does_something_and_less_when_weaker(frame, name):
    import torch

    image = torch.from_numpy(frame[:128, :160].copy()).permute(2, 0, 1)

    def change(amount: float) -> float:
        out = randaugment.apply(image, name, amount)
        assert out.shape == image.shape and out.dtype == torch.uint8
        return float((out.float() - image.float()).abs().mean())

    strong, weak = max(change(0.9), change(-0.9)), max(change(0.2), change(-0.2))
    if name == "identity":
        assert strong == 0
    elif name in ("autocontrast", "equalise"):
        assert strong == weak > 0, "they have no strength"
    else:
        assert strong > weak


def test_augmented_views_of_both_kinds_are_told_apart_in_the_cache():
    assert str(Augment()) == "Augment(smallest=0.35, mirror=True, turn=False, light=0.2)"
    assert Augment() != Augment(kind="randaugment")
