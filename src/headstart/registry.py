"""Finds methods, readers, tasks, engines and source loaders by the files in their folder.

A new method is one new file: nothing is registered by hand.
"""

from __future__ import annotations

import importlib
import pkgutil
from types import ModuleType

from headstart.errors import UsageError, nearest

__all__ = ["METHOD_FAMILIES", "load", "load_all", "names"]

METHOD_FAMILIES = (
    "finetune",
    "align",
    "adapt",
    "sourcefree",
    "pretrain",
    "regularise",
    "keep",
    "control",
)


def names(folder: str) -> list[str]:
    """List the names found in a folder, such as ``methods.finetune``, without importing them.

    >>> "linear_probe" in names("methods.finetune")
    True
    """
    package = importlib.import_module(f"headstart.{folder}")
    return sorted(
        module.name
        for module in pkgutil.iter_modules(package.__path__)
        if not module.name.startswith("_") and module.name != "base"
    )


def load(folder: str, name: str) -> ModuleType:
    """Import one file of a folder by its name.

    Raises:
        UsageError: there is no such file; the message offers the nearest name.
    """
    found = names(folder)
    if name not in found:
        kind = folder.rsplit(".", 1)[-1].rstrip("s")
        raise UsageError(f"There is no {kind} named {name!r}.", nearest(name, found))
    return importlib.import_module(f"headstart.{folder}.{name}")


def load_all(folder: str) -> list[ModuleType]:
    """Import every file of a folder, in the order of their ``RANK`` and then their names."""
    modules = [load(folder, name) for name in names(folder)]
    return sorted(modules, key=lambda module: (getattr(module, "RANK", 0), module.__name__))
