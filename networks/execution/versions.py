"""Which versions of packages tasks are done with: other ones may find another network."""

from __future__ import annotations

import platform
import sys
from collections.abc import Collection, Mapping
from importlib.metadata import PackageNotFoundError, entry_points, version

from afir.methods.base import ENTRY_POINT_GROUP as METHODS
from afir.pes.registry import ENTRY_POINT_GROUP as SURFACES
from networks.execution.context import Bench

_ALWAYS = ("Python", "afir", "numpy", "scipy")


def loaded() -> set[str]:
    """The names of the packages that this process has loaded, without those of Python itself."""
    return {name.partition(".")[0] for name in list(sys.modules)} - set(sys.stdlib_module_names)


def versions_of(bench: Bench, behind: Collection[str]) -> dict[str, str]:
    """The versions of the packages on which the results of tasks depend.

    Parameters
    ----------
    bench
        Those that have registered its surfaces and methods count.
    behind
        Packages that were loaded with them. A surface of another package is loaded in a process of
        its own: of what is behind it only the package is known.

    Returns
    -------
    dict
        Versions by the name of the package.
    """
    names = {*_ALWAYS, *behind}
    registered = {(METHODS, name) for name in bench.methods}
    for surface in filter(None, (bench.surface, bench.reference)):
        base, _, argument = surface.partition(":")
        registered.add((SURFACES, base))
        names.add(argument.partition(".")[0])  # of `ase:package.Calculator`
    for group, name in registered:
        names.update(each.dist.name for each in entry_points(group=group, name=name) if each.dist)
    return {name: known for name in sorted(names) if (known := _version(name))}


def difference(there: Mapping[str, str]) -> str:
    """What is another version here, ``numpy 2.1.0 (here 2.2.0)``; "" for nothing."""
    here = {name: _version(name) for name in there}
    return ", ".join(
        f"{name} {there[name]} (here {here[name] or 'none'})"
        for name in sorted(there)
        if there[name] != here[name]
    )


def _version(package: str) -> str:
    """The version of a package that is installed here, "" if there is no package of this name."""
    if package == "Python":
        return ".".join(platform.python_version_tuple()[:2])
    try:
        return version(package)
    except (PackageNotFoundError, ValueError):  # a module without a package of its name; ""
        return ""
