"""The scikit-learn estimators: scikit-learn's own checks, then pictures, texts and tables."""

from __future__ import annotations

import pickle
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_wine
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks
from tests.saved_text import save

from headstart import HeadstartClassifier, HeadstartFeatures, HeadstartRegressor
from headstart.errors import HeadstartError, InputError, RunError, SourceError, UsageError
from headstart.workflow import heads

EACH = 12


@parametrize_with_checks([HeadstartClassifier(), HeadstartRegressor(), HeadstartFeatures()])
def test_scikit_learn_has_no_objection(estimator, check):
    check(estimator)


# ---- numbers -------------------------------------------------------------------------------


def unscaled(classify, *given, **options):
    return classify(*given, **{**options, "standardise": False})


def test_a_column_in_a_small_unit_is_not_drowned(monkeypatch):
    random = np.random.default_rng(1)
    y = np.arange(200) % 2
    X = np.c_[(y + 0.3 * random.normal(size=200)) / 1000, 1000 * random.normal(size=(200, 20))]
    scores = [HeadstartClassifier().fit(X[:100], y[:100]).score(X[100:], y[100:])]
    plain = heads.classify
    monkeypatch.setattr(heads, "classify", partial(unscaled, plain))
    scores.append(HeadstartClassifier().fit(X[:100], y[:100]).score(X[100:], y[100:]))
    assert scores[0] > 0.9 and scores[1] < 0.7


def test_numbers_in_other_units_give_the_same_answers():
    X, y = load_wine(return_X_y=True)
    model, scaled = HeadstartClassifier().fit(X, y), HeadstartClassifier().fit(X * 1000 + 5, y)
    assert np.allclose(model.predict_proba(X), scaled.predict_proba(X * 1000 + 5), atol=1e-3)
    assert model.coef_.shape == (3, 13) and 0 < model.log_loss_ < 0.2 and model.score(X, y) > 0.97


def test_balanced_classes_count_alike():
    random = np.random.default_rng(0)
    y = np.repeat(["common", "rare"], [300, 20])
    X = random.normal(size=(320, 4)) + (y == "rare")[:, None] * 0.8
    plain = HeadstartClassifier().fit(X, y).predict(X)
    balanced = HeadstartClassifier(class_weight="balanced").fit(X, y).predict(X)
    found = [(p[y == "rare"] == "rare").mean() for p in (plain, balanced)]
    assert found[0] < 0.5 and found[1] > 0.7


def test_two_rows_are_enough():
    model = HeadstartClassifier().fit([[0.0], [1.0]], ["a", "b"])
    assert model.predict([[-1.0], [2.0]]).tolist() == ["a", "b"]
    assert HeadstartRegressor().fit([[0.0], [1.0]], [0.0, 1.0]).predict([[0.5]]) == pytest.approx(
        0.5
    )


def test_the_seed_settles_the_folds_and_nothing_else():
    X, y = load_wine(return_X_y=True)
    first, again, other = (HeadstartClassifier(random_state=s).fit(X, y) for s in (3, 3, 4))
    assert np.array_equal(first.coef_, again.coef_) and first.log_loss_ == again.log_loss_
    assert first.log_loss_ != other.log_loss_


def test_each_output_has_a_penalty_of_its_own():
    random = np.random.default_rng(0)
    X = random.normal(size=(60, 30))
    y = np.stack([X[:, 0] + 0.01 * random.normal(size=60), random.normal(size=60)], axis=1)
    model = HeadstartRegressor().fit(X, y)
    one = HeadstartRegressor().fit(X, y[:, 0])
    assert model.penalty_[0] < 0.1 < model.penalty_[1]
    assert np.allclose(model.predict(X)[:, 0], one.predict(X))


def test_numbers_are_standardised():
    X = pd.DataFrame({"a": [1.0, 2.0, 3.0], "b": [5.0, 5.0, 5.0]})
    features = HeadstartFeatures().fit(X)
    assert features.transform(X)[:, 0] == pytest.approx([-1.2247449, 0, 1.2247449])
    assert features.transform(X).dtype == np.float32
    assert features.get_feature_names_out().tolist() == ["a", "b"]


# ---- pictures ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pictures(scenes, tmp_path_factory) -> tuple[list[Path], np.ndarray, np.ndarray]:
    """Paths of 24 crops of 96 × 96 px (PNG: no loss), their pixels and their classes."""
    folder, random = tmp_path_factory.mktemp("pictures"), np.random.default_rng(5)
    paths, pixels, labels = [], [], []
    for label, scene in scenes.items():
        for number in range(EACH):
            top, left = random.integers(0, 427 - 96), random.integers(0, 640 - 96)
            pixels.append(scene[top : top + 96, left : left + 96])
            paths.append(folder / f"{label}-{number}.png")
            Image.fromarray(pixels[-1]).save(paths[-1])
            labels.append(label)
    return paths, np.stack(pixels), np.array(labels)


@pytest.fixture(scope="module")
def told(pictures, tmp_path_factory) -> HeadstartClassifier:
    """A classifier fitted on every second picture."""
    paths, _, labels = pictures
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HEADSTART_CACHE", str(tmp_path_factory.mktemp("fitted")))
        return HeadstartClassifier().fit(paths[::2], labels[::2])


def test_pictures_it_did_not_see_are_told_apart(told, pictures):
    paths, _, labels = pictures
    assert told.modality_ == "image" and told.source_ == "efficientnet_lite0"
    assert told.score(paths[1::2], labels[1::2]) >= 0.9
    assert told.coef_.shape == (1, 1280)


def test_every_form_of_a_picture_gives_the_same_answer(told, pictures):
    paths, pixels, _ = pictures
    want = told.predict_proba(paths)
    forms = {
        "strings": [str(path) for path in paths],
        "Pillow images": [Image.open(path) for path in paths],
        "a list of arrays": list(pixels),
        "one array": pixels,
        "floats": pixels / 255,
        "an array of strings": np.array([[str(path)] for path in paths]),
        "a Series": pd.Series(paths),
        "a table": pd.DataFrame({"file": [str(path) for path in paths]}),
    }
    for form, given in forms.items():
        assert np.allclose(told.predict_proba(given), want, atol=1e-3), form


def test_a_turned_photograph_is_put_upright_in_every_form(told, pictures, tmp_path):
    paths, pixels, _ = pictures
    image, exif = Image.fromarray(np.rot90(pixels[0])), Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise by 90°, which undoes rot90
    image.save(tmp_path / "turned.png", exif=exif)
    opened = Image.open(tmp_path / "turned.png")
    found = told.predict_proba([paths[0], tmp_path / "turned.png", opened])
    assert np.allclose(found, found[:1], atol=1e-3)


def test_features_are_computed_once_for_a_search(pictures):
    paths, _, labels = pictures
    search = GridSearchCV(
        make_pipeline(HeadstartFeatures(), LogisticRegression(max_iter=300)),
        {"logisticregression__C": [0.001, 1.0]},
        cv=3,
    ).fit(paths, labels)
    assert search.best_score_ >= 0.9
    again = HeadstartClassifier().fit(paths, labels)
    assert not again._working, "an engine was built though every feature was known"
    assert cross_val_score(HeadstartClassifier(), paths, labels, cv=3).mean() >= 0.9


def test_a_copy_from_a_pickle_answers_the_same(told, pictures):
    paths, _, _ = pictures
    told.predict(paths[:2])
    copy = pickle.loads(pickle.dumps(told))
    assert told._working and not hasattr(copy, "_working")
    assert np.allclose(copy.predict_proba(paths[:4]), told.predict_proba(paths[:4]), atol=1e-6)
    assert not hasattr(clone(told), "coef_")


def test_features_have_names(pictures):
    paths, _, _ = pictures
    table = HeadstartFeatures().set_output(transform="pandas").fit_transform(paths[:3])
    assert table.shape == (3, 1280) and table.columns[17] == "efficientnet_lite0_17"


def test_brightness_is_regressed(pictures):
    _, pixels, _ = pictures
    random = np.random.default_rng(2)
    shares = random.uniform(0.2, 1, len(pixels))
    dimmed = np.rint(pixels * shares[:, None, None, None]).astype(np.uint8)
    y = dimmed.mean(axis=(1, 2, 3))
    model = HeadstartRegressor().fit(dimmed[::2], y[::2])
    assert model.score(dimmed[1::2], y[1::2]) > 0.5


def test_the_whole_fit_gives_a_verdict_and_a_model_that_travels(pictures):
    paths, _, labels = pictures
    model = HeadstartClassifier(method="fit", budget="2s").fit(paths, labels)
    assert model.summary_["verdict"] in ("helps", "no evidence", "harms")
    assert "run" not in model.summary_ and "<html" in model.report_
    shares = model.predict_proba(paths)
    assert shares.shape == (24, 2) and np.allclose(shares.sum(axis=1), 1)
    assert model.score(paths, labels) >= 0.9
    assert ((model.decision_function(paths) > 0) == (shares[:, 1] > 0.5)).all()
    copy = pickle.loads(pickle.dumps(model))
    assert np.allclose(copy.predict_proba(paths[:3]), shares[:3], atol=1e-3)


# ---- texts ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bert(tmp_path_factory) -> str:
    """The name of a tiny text source model with random weights."""
    return f"transformers:{save(tmp_path_factory.mktemp('model') / 'bert')}"


@pytest.fixture(scope="module")
def reviews() -> pd.DataFrame:
    subjects = ("the movie", "that film", "this place", "the food", "what a place , it")
    tails = ("", " ?", " that was the movie", " where this is")
    return pd.DataFrame(
        [
            {"review": f"{subject} {words}{tail}", "stars": stars}
            for stars, words in ((5, "is very good"), (1, "was not good"))
            for subject in subjects
            for tail in tails
        ]
    )


def test_texts_are_told_apart_in_every_form(bert, reviews):
    X, y = reviews[["review"]], reviews.stars
    model = HeadstartClassifier(bert).fit(X, y)
    assert model.modality_ == "text" and model.feature_names_in_.tolist() == ["review"]
    assert model.score(X, y) > 0.9
    want = model.predict_proba(X)
    for given in (list(X.review), X.review, X.to_numpy(), X.review.to_numpy(), tuple(X.review)):
        assert np.allclose(model.predict_proba(given), want, atol=1e-5)
    assert cross_val_score(HeadstartClassifier(bert), X.review, y, cv=3).mean() > 0.8
    values = HeadstartRegressor(bert, text="review").fit(reviews, y).predict(reviews)
    assert np.corrcoef(values, y)[0, 1] > 0.8


def test_texts_stand_beside_numbers_in_a_column_transformer(bert, reviews):
    table = reviews.assign(length=reviews.review.str.len())
    mixed = ColumnTransformer(
        [("words", HeadstartFeatures(bert), ["review"]), ("size", HeadstartFeatures(), ["length"])]
    )
    assert mixed.fit_transform(table).shape == (40, 17)
    assert mixed.get_feature_names_out()[[0, -1]].tolist() == [
        "words__transformers_bert_0",
        "size__length",
    ]


def test_a_column_that_is_not_read_is_named(bert, reviews):
    with pytest.warns(UserWarning, match="'review' alone is read, not stars") as caught:
        HeadstartFeatures(bert).fit(reviews)
    assert caught[0].filename == __file__


def test_other_weights_under_the_same_name_are_refused(tmp_path, reviews):
    folder = save(tmp_path / "bert")
    model = HeadstartClassifier(f"transformers:{folder}").fit(reviews.review, reviews.stars)
    save(tmp_path / "bert", seed=1)
    with pytest.raises(SourceError, match="not those that the estimator was fitted with"):
        model.predict(reviews.review)


def test_without_a_text_source_the_next_command_is_named(reviews):
    with pytest.raises(RunError, match="headstart zoo --modality text"):
        HeadstartClassifier().fit(reviews.review, reviews.stars)


# ---- wrong inputs --------------------------------------------------------------------------


def test_rows_that_can_not_be_used_are_named(told, pictures, bert, reviews, tmp_path):
    paths, _, labels = pictures
    (tmp_path / "cut.png").write_bytes(paths[0].read_bytes()[:900])
    (tmp_path / "empty.png").touch()
    given = [paths[0], tmp_path / "cut.png", None, tmp_path / "none.png", tmp_path / "empty.png"]
    with pytest.raises(InputError) as caught:
        told.predict(given)
    assert caught.value.message.startswith("1 row can't be used: X[2]: the path is missing")
    with pytest.raises(InputError) as caught:
        told.predict([path for path in given if path])
    assert "3 rows can't be used: X[1] (" in caught.value.message
    assert "none.png): the file does not exist" in caught.value.message
    with pytest.raises(InputError, match=r"X\[1\] .*cut.png\): truncated"):
        HeadstartClassifier().fit(given[:2], labels[[0, -1]])
    model = HeadstartClassifier(bert).fit(reviews.review, reviews.stars)
    with pytest.raises(InputError, match=r"X\[1\]: the text is missing"):
        model.predict(["is good", " "])
    with pytest.raises(InputError, match=r"X\[1\]: a string is needed, not list"):
        model.predict(["is bad", ["is good"]])
    with pytest.raises(InputError, match=r"X\[1\]: a path, .* is needed, not float64 \(8, 8\)"):
        told.predict([paths[0], np.zeros((8, 8))])


@pytest.mark.parametrize(
    ("settings", "X", "message"),
    [
        ({}, "photos/", "single str"),
        ({}, Path("photos"), "headstart.fit"),
        ({}, ["a.jpg", "a fine film"], "modality='image' or modality='text'"),
        ({}, np.zeros((2, 3, 8, 8), np.uint8), "transpose"),
        ({}, np.full((2, 8, 8, 3), 128.0), "astype"),
        ({}, np.full((2, 8, 8, 3), 7), "uint8 from 0 to 255"),
        ({}, np.zeros((2, 8, 8)), "three axes"),
        ({}, pd.DataFrame({"a": ["x", "y"], "b": ["z", "z"]}), "2 columns of strings"),
        ({"text": "c"}, pd.DataFrame({"a": ["x", "y"]}), "no column 'c'"),
        ({"text": "a", "image": "b"}, pd.DataFrame({"a": ["x", "y"]}), "Name one column"),
        ({"modality": "text"}, [[1.0], [2.0]], "holds no texts"),
        ({"modality": "image"}, pd.DataFrame({"a": [1, 2]}), "no column"),
        ({"modality": "text"}, [Path("a.jpg"), Path("b.jpg")], "texts are expected"),
        ({"modality": "sound"}, [[1.0], [2.0]], "no modality 'sound'"),
        ({"source": 3}, ["a.jpg", "b.jpg"], "source=3 is not a name"),
        ({"method": "probe"}, [[1.0], [2.0]], "linear_probe"),
        ({"method": "fit"}, [[1.0], [2.0]], "X holds numbers"),
        ({"method": "fit", "class_weight": "balanced"}, ["a.jpg", "b.jpg"], "no class_weight"),
        ({}, np.array([], dtype=object), "empty|sample"),
    ],
)
def test_wrong_inputs_are_refused_with_a_reason(settings, X, message):
    with pytest.raises(ValueError, match=message) as caught:
        HeadstartClassifier(**settings).fit(X, [0, 1])
    assert isinstance(caught.value, HeadstartError) or "sample" in message


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (None, "requires y"),
        (["a"], "inconsistent numbers of samples"),
        (["a", "a"], "one class"),
        ([0.5, 1.25], "Unknown label type"),
        ([np.nan, 1.0], "NaN"),
    ],
)
def test_wrong_targets_are_refused(y, message, pictures):
    with pytest.raises(ValueError, match=message):
        HeadstartClassifier().fit(pictures[0][:2], y)


def test_a_source_of_another_modality_is_refused(bert):
    with pytest.raises(UsageError, match="reads text"):
        HeadstartClassifier(bert).fit(["a.jpg", "b.jpg"], [0, 1])
    with pytest.raises(UsageError, match="reads pictures"):
        HeadstartFeatures("efficientnet_lite0").fit(["not a bad film"])


def test_nothing_is_predicted_before_fit_or_from_another_kind(told, bert):
    with pytest.raises(NotFittedError):
        HeadstartClassifier().predict(["a.jpg"])
    with pytest.raises(InputError, match="holds no pictures"):
        told.predict([[1.0, 2.0]])
    numbers = HeadstartClassifier().fit([[0.0], [1.0]], [0, 1])
    with pytest.raises(ValueError, match="could not convert"):
        numbers.predict([["a fine film"]])


def test_a_second_fit_forgets_the_first(bert, reviews):
    model = HeadstartClassifier(bert).fit(reviews[["review"]], reviews.stars)
    model.fit([[0.0], [1.0]], [0, 1])
    assert not hasattr(model, "source_") and not hasattr(model, "feature_names_in_")
    assert model.modality_ == "array" and model.n_features_in_ == 1
