"""Every adapted head that may be returned, and what is known of each without target labels."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from headstart import registry
from headstart.data.split import assign, folds
from headstart.errors import DataError, HeadstartError, UsageError, nearest
from headstart.evaluate.shift.two_sample import two_sample
from headstart.methods.base import configure
from headstart.methods.domains import Domains, Head
from headstart.methods.finetune.linear_probe import Method as Probe
from headstart.progress import Silent
from headstart.types import Reporter

if TYPE_CHECKING:
    from headstart.types import Array, Floats, Ints
    from headstart.workflow.adapting.unfrozen import Trained

__all__ = [
    "AGREEING",
    "AGREEING_MANY",
    "CHAINS",
    "CLUSTERED",
    "CONSENSUS",
    "EVENED",
    "FAMILIES",
    "MILDER",
    "NETWORK",
    "PRETRAIN",
    "RESHARED",
    "SEVERAL",
    "SOURCE_ONLY",
    "Candidate",
    "Evidence",
    "apart",
    "as_dict",
    "family_of",
    "fit_all",
    "fitted",
    "names",
    "prepare",
]

FAMILIES = ("align", "adapt", "sourcefree")
PRETRAIN = "pretrain"
NETWORK = "network"
SOURCE_ONLY = "source_only"
HELD = 0.2
"""Of the source's rows, held out of every candidate to judge it by."""
MOST_HELD = 1000
CHAINS = tuple(
    f"{first}+{then}"
    for first, then in (
        ("centre", "self_training"),
        ("standardise", "self_training"),
        ("gfk", "self_training"),
        ("bda", "self_training"),
        ("label_propagation", "self_training"),
        ("standardise", "shot"),
        ("bbse", "shot"),
    )
)
"""Two methods in a row: the second starts from the head of the first."""
_SELF_TRAINED = ("self_training", *CHAINS[:5])
AGREEING = (*_SELF_TRAINED, "gfk", "tca", "bda")
"""What the consensus of two classes is made of."""
AGREEING_MANY = (*_SELF_TRAINED, "standardise+shot", "nrc", "tca")
"""The same for more classes, where clusters of the target tell more."""
CONSENSUS = "consensus"
"""The mean of several candidates' logits, each brought to one spread: what they agree on counts."""
CLUSTERED = f"{CONSENSUS}+nrc"
"""The same where the target's classes are clusters: near rows are brought to one answer afterwards."""
RESHARED = f"{CONSENSUS}+prior_means"
"""The same where the class shares seem to differ: its bias is moved to shares in between."""
MILDER = f"{CONSENSUS}+hold_shares"
"""The same where they seem to be alike, and may not be: it changes the answers' shares half as much."""
EVENED = f"{CONSENSUS}+same_shares"
"""The same for who knows that they are alike: its answers get the source's shares."""
SEVERAL = ("weight_sources", "combine_sources")
"""Methods that change nothing where there is one source."""
LARGEST = 1e6
FLAT = 1e-4
"""A feature whose spread is less than this share of the mean spread counts as one that never changes."""
WIDEST, NARROW = 2048, 512
HEAVIEST = 20.0


@dataclass(frozen=True)
class Evidence:
    """The domains as candidates and validators see them.

    Attributes:
        domains: the source's training rows and the target, with the penalty that was chosen.
        whole: the same with every source row, for the head that is returned.
        held: features of the source rows that no candidate was trained on.
        held_labels: of them.
        reference: source-only on the training rows.
        accuracy: source-only's, cross-validated on the source.
        matrix, shift: from features as they come to those of the domains, (d, k) and (k,).
        rows, held_rows: which of the given source rows those of ``domains`` and ``held`` are.
    """

    domains: Domains
    whole: Domains
    held: Floats
    held_labels: Ints
    reference: Head
    accuracy: float
    matrix: Floats
    shift: Floats
    rows: Ints
    held_rows: Ints

    def place(self, head: Head) -> Head:
        """A head of the domains as one on features as they come."""
        return head.after(self.matrix, self.shift)


@dataclass(frozen=True)
class Candidate:
    """One adapted head.

    Attributes:
        name: of the method.
        family: its folder.
        head: fitted on the source's training rows.
        seconds: that the fit took.
        failed: why there is none; empty where there is.
        network: whose features the head reads; None for the frozen ones.
    """

    name: str
    family: str
    head: Head | None
    seconds: float
    failed: str = ""
    network: Trained | None = None


def prepare(
    source: Array,
    labels: Ints,
    target: Array,
    classes: int,
    *,
    linked: Ints | None = None,
    origins: Ints | None = None,
    seed: int = 0,
) -> Evidence:
    """Tune source-only, and hold source rows out.

    Source-only is the linear probe of ``fit``: its penalty is chosen by cross-validation over source
    rows.

    Args:
        source: (n_s, d).
        labels: (n_s,).
        target: (n_t, d).
        classes: c.
        linked: (n_s,) set numbers; rows of one set stay on one side.
        origins: (n_s,) which source domain a row is of.
        seed: of splits and methods.
    """
    matrix, shift = common_space(source, target, seed)
    source = np.asarray(source, np.float64) @ matrix + shift
    target = np.asarray(target, np.float64) @ matrix + shift
    linked = np.arange(len(source)) if linked is None else linked
    origins = np.zeros(len(source), np.int64) if origins is None else origins
    masks = folds(labels, linked, seed)
    probe = Probe().solve(source, labels, masks, np.ones(len(labels), bool))
    judged = ~np.isnan(probe.held_out[:, 0])
    accuracy = float((probe.held_out[judged].argmax(axis=1) == labels[judged]).mean())
    share = min(HELD, MOST_HELD / len(labels))
    side = assign(labels, linked, [1 - share, share], seed)
    missing = set(range(classes)) - set(labels[side == 0].tolist())
    if missing or not (side == 1).any():  # a class of one row: judge on what is trained on
        side = np.zeros(len(labels), np.int64)
    held = side == 1 if (side == 1).any() else np.ones(len(labels), bool)
    penalty = float(probe.penalties[probe.chosen])
    whole = Domains(source, labels, target, classes, penalty, origins, seed)
    domains = whole.subset(side == 0)
    return Evidence(
        domains,
        whole,
        source[held],
        labels[held],
        domains.source_only,
        accuracy,
        matrix,
        shift,
        np.flatnonzero(side == 0),
        np.flatnonzero(held),
    )


def common_space(source: Array, target: Array, seed: int) -> tuple[Floats, Floats]:
    """One scale for both domains: what every method and validator works in.

    Each feature is centred and divided by its spread over both domains plus a tenth of the mean spread, as
    the probe does; features that never change are left out, as a method that divides by a spread of its own
    would blow up what is noise. Beyond :data:`WIDEST` features the main directions stand for them, turned
    at random so that none is much wider than another.

    Returns:
        matrix (d, k) and shift (k,), so that ``x @ matrix + shift`` is in that space.

    Raises:
        DataError: no feature changes.
    """
    both = np.vstack([np.asarray(source, np.float64), np.asarray(target, np.float64)])
    middle, spread = both.mean(axis=0), both.std(axis=0)
    kept = np.flatnonzero(spread > FLAT * max(float(spread.mean()), 1e-300))
    if not len(kept):
        raise DataError(
            "No feature changes from row to row.", "Give columns or features that differ."
        )
    scale = 1.0 / (spread[kept] + 0.1 * spread[kept].mean())
    matrix = np.zeros((both.shape[1], len(kept)))
    matrix[kept, np.arange(len(kept))] = scale
    if len(kept) > WIDEST:
        scaled = (both[:, kept] - middle[kept]) * scale
        gram = scaled @ scaled.T if len(scaled) < len(kept) else scaled.T @ scaled
        values, axes = np.linalg.eigh(gram)
        axes = axes[:, -min(NARROW, len(axes)) :]
        if len(scaled) < len(kept):
            axes = scaled.T @ axes / np.sqrt(np.maximum(values[-axes.shape[1] :], 1e-12))
        width = axes.shape[1]
        turn = np.linalg.qr(np.random.default_rng((seed, 61)).normal(size=(width, width)))[0]
        matrix = matrix @ (axes @ turn)
    return matrix, -middle @ matrix


def apart(evidence: Evidence) -> tuple[float, float, Floats]:
    """How well the domains are told apart, and the density ratios at the held-out source rows.

    Returns:
        the AUROC of a cross-fitted discriminator; the p-value that there is one domain; and p_target(x) / p_source(x) by its odds (Bickel et
        al. 2009), each at most :data:`HEAVIEST` times the median's, with a mean of 1.
    """
    domains = evidence.domains
    found = two_sample(domains.source, domains.target, permutations=199, seed=domains.seed)
    odds = found.log_odds(evidence.held)
    odds = np.minimum(odds - np.median(odds), np.log(HEAVIEST))
    ratios = np.exp(odds)
    return found.auroc, found.p, ratios / ratios.mean()


def names(modality: str) -> list[tuple[str, str]]:
    """Family and name of every candidate for such features that runs unasked: methods, chains, a consensus."""
    out = []
    for family in FAMILIES:
        for name in registry.names(f"methods.{family}"):
            method = registry.load(f"methods.{family}", name).Method
            if modality in (*method.modalities, "") and method.unasked:
                out.append((family, name))
    chains = [("chain", name) for name in CHAINS]
    after = [("chain", name) for name in (CLUSTERED, RESHARED, MILDER, EVENED)]
    return [*out, *chains, ("mean", CONSENSUS), *after]


def family_of(name: str) -> str:
    """The family of a candidate by its name; ``chain`` and ``mean`` for those made of several methods.

    ``network`` is a method's that trains the source model, ``METHOD@POINT``; ``pretrain`` is also the family
    of what follows such a method on its features, such as ``dapt+consensus``.

    Raises:
        UsageError: there is none of that name.
    """
    if name == CONSENSUS:
        return "mean"
    if "@" in name:
        return NETWORK
    first, _, rest = name.partition("+")
    if rest and first in registry.names(f"methods.{PRETRAIN}"):
        if family_of(rest) in ("adapt", PRETRAIN):
            raise UsageError(f"{rest} can't be part of a chain.", f"Type: --method {first}+shot")
        return PRETRAIN
    if rest:
        for place, part in enumerate(name.split("+")):
            if family_of(part) in ("adapt", PRETRAIN, "mean" if place else "adapt"):
                raise UsageError(f"{part} can't be part of a chain.", "Type: --method centre+shot")
        return "chain"
    families = (*FAMILIES, PRETRAIN)
    known = {n: family for family in families for n in registry.names(f"methods.{family}")}
    if name not in known:
        raise UsageError(f"There is no adaptation method {name!r}.", nearest(name, known))
    return known[name]


Settings = dict[str, dict[str, str]]


def fitted(
    name: str,
    domains: Domains,
    settings: Settings | None = None,
    made: dict[str, Head] | None = None,
) -> Head:
    """Fit one candidate.

    Args:
        name: a method, a chain such as ``centre+shot``, or ``consensus``.
        domains: to fit on.
        settings: method → parameter → value.
        made: heads that were fitted on these domains before; they aren't fitted again.

    Raises:
        HeadstartError: it can't be had on these domains.
    """
    settings, made = settings or {}, made if made is not None else {}
    if name in made:
        return made[name]
    family = family_of(name)
    head: Head
    if family == "mean":
        head = _mean([one.evened(domains.target) for one in _agreeing(domains, settings, made)])
    elif family == "chain":
        before, _, last = name.rpartition("+")
        start = fitted(before, domains, settings, made)
        head = _one(family_of(last), last, replace(domains, start=start), settings)
    else:
        head = _one(family, name, domains, settings)
    if not (np.isfinite(head.weight).all() and np.isfinite(head.bias).all()):
        raise HeadstartError(f"{name} gave no finite classifier.")
    if np.abs(head.weight).max() > LARGEST:
        raise HeadstartError(f"{name} gave a classifier without bounds.")
    made[name] = head
    return head


def _agreeing(domains: Domains, settings: Settings, made: dict[str, Head]) -> list[Head]:
    """The heads that the consensus is made of; one that can't be had is left out, unless most are."""
    parts = AGREEING if domains.classes == 2 else AGREEING_MANY
    found, failed = [], None
    for part in parts:
        try:
            found.append(fitted(part, domains, settings, made))
        except (HeadstartError, ArithmeticError, np.linalg.LinAlgError) as error:
            failed = error
    if failed is not None and 2 * len(found) <= len(parts):
        raise failed
    return found


def _one(family: str, name: str, domains: Domains, settings: Settings) -> Head:
    method = configure(family, name, settings.get(name))
    head: Head
    if family == "align":
        head = method.align(domains)
    elif family == "sourcefree":
        head = method.adapt(domains.source_only, domains.target, domains.seed)
    else:
        from headstart.workflow.adapt_features import adapt_features

        head = adapt_features(method, domains, seed=domains.seed)
    return head


def _mean(heads: Sequence[Head]) -> Head:
    weight = np.mean([head.weight for head in heads], axis=0)
    return Head(weight, np.mean([head.bias for head in heads], axis=0))


def fit_all(
    evidence: Evidence,
    methods: Sequence[tuple[str, str]],
    settings: dict[str, dict[str, str]] | None = None,
    reporter: Reporter | None = None,
    left: Callable[[], float] | None = None,
    title: str = "Adapting",
) -> list[Candidate]:
    """Fit every method on the source's training rows; one that fails is listed with its reason.

    Args:
        evidence: from :func:`prepare`.
        methods: family and name of each.
        settings: method → parameter → value.
        reporter: progress.
        left: seconds that are left; once none are, the rest is listed as not tried.
        title: of the progress.
    """
    out = []
    made: dict[str, Head] = {}
    with (reporter or Silent()).step(title, len(methods)) as step:
        for family, name in methods:
            step.note(name.replace("_", " "))
            begun = time.perf_counter()
            head, failed = None, ""
            if left is not None and left() <= 0:
                failed = "the budget was used up"
            else:
                try:
                    head = fitted(name, evidence.domains, settings, made)
                except HeadstartError as error:
                    failed = str(error.message)
                except (np.linalg.LinAlgError, FloatingPointError, ArithmeticError) as error:
                    failed = f"it can't be solved on these features ({type(error).__name__})"
            out.append(Candidate(name, family, head, time.perf_counter() - begun, failed))
            step.advance()
    return out


def as_dict(candidate: Candidate) -> dict[str, Any]:
    """For JSON."""
    return {
        "method": candidate.name,
        "family": candidate.family,
        "seconds": round(candidate.seconds, 2),
        "failed": candidate.failed,
    }
