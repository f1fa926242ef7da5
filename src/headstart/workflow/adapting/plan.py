"""What an adaptation was asked to do."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from headstart.errors import UsageError
from headstart.methods.base import configure
from headstart.workflow.adapting.candidates import FAMILIES, PRETRAIN, family_of
from headstart.workflow.plan import TEST_SHARE, Plan

__all__ = ["AdaptPlan"]


@dataclass(frozen=True)
class AdaptPlan(Plan):
    """One adaptation's request.

    Attributes:
        sources: the labelled domains, as given; empty strings for objects in Python.
        target: the domain without labels.
        evaluate: whether the target's labels are opened at the end, for the verdict.
        source: the source model; empty for the best on this machine.
        unfreeze: the freeze point behind which methods that train also train the source model: a name,
            ``auto`` or ``input``; empty: only where a budget has room for it.
        trust: whether the best of the named methods is returned whatever is expected of it.
    """

    source: str = ""
    sources: tuple[str, ...] = field(default_factory=tuple)
    target: str = ""
    evaluate: bool = False
    unfreeze: str = ""
    trust: bool = False

    def __post_init__(self) -> None:
        for name in (*self.methods, *self.settings):
            if "@" in name:
                raise UsageError(
                    f"{name} is no method's name.",
                    f"Type: --method {name.partition('@')[0]} --unfreeze {name.partition('@')[2] or 'auto'}",
                )
            family = family_of(name)
            if family in FAMILIES or (family == PRETRAIN and "+" not in name):
                configure(family, name, self.settings.get(name))
            elif name in self.settings:
                raise UsageError(
                    f"{name} has no parameters of its own.", "Set those of its methods."
                )
        if self.trust and not self.methods:
            raise UsageError(
                "--trust is for methods that you name, and none is.",
                "Add one: --method consensus+same_shares",
            )
        if self.source in ("auto", "all-available") or "," in self.source:
            raise UsageError(
                "Source models aren't ranked for adaptation: the ranking reads labels of the target.",
                "Name one: --source-model minilm_l6",
            )
        if not 0.05 <= self.test_share <= 0.9:
            raise UsageError(
                f"The test share {self.test_share} is out of range.", "Allowed: 0.05 to 0.9."
            )
        if not 0 <= self.seed < 2**31:
            raise UsageError(f"The seed {self.seed} is out of range.", "Allowed: 0 to 2147483647.")

    def command(self) -> str:
        """The command line that repeats the run."""
        import shlex
        from dataclasses import asdict

        words = ["headstart", "adapt"]
        for path in self.sources or ("SOURCE",):
            words += ["--source", path or "SOURCE"]
        words += ["--target", self.target or "TARGET"]
        for option, value in asdict(self.columns).items():
            words += [f"--{option.replace('_', '-')}", value] if value else []
        words += ["--source-model", self.source] if self.source else []
        for name in self.methods:
            words += ["--method", name]
        options: list[tuple[str, Any]] = [
            ("--set", f"{method}.{key}={value}")
            for method, values in self.settings.items()
            for key, value in values.items()
        ]
        options += [("--budget", f"{self.budget:g}s")] if self.budget is not None else []
        options += [("--unfreeze", self.unfreeze)] if self.unfreeze else []
        options += [("--max-length", self.max_length)] if self.max_length else []
        if self.test_share != TEST_SHARE:
            options.append(("--test-share", f"{self.test_share:g}"))
        for option, value in [*options, ("--seed", self.seed)]:
            words += [option, str(value)]
        words += ["--trust"] if self.trust else []
        return shlex.join([*words, *(["--evaluate"] if self.evaluate else [])])
