"""What is chosen by name: surfaces, methods, policies. Their options are checked here."""

from __future__ import annotations

import difflib
import inspect
import math
import re
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from numbers import Integral, Real
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin

from afir.errors import AfirError, InputError, MissingPackageError, said

_OURS = ("afir", "networks", "mlpot")  # the packages of this project

_LARGEST = 2**63  # beyond the whole numbers that SQLite and TOML hold
_KINDS = {
    "int": "a whole number",
    "float": "a number",
    "str": "text",
    "bool": "true or false",
}
_DEEPEST = 16  # levels of lists and tables in a value: more than any option has; chosen


def options_of(
    factory: Callable[..., Any], given: int, *, without: Container[str] = ()
) -> dict[str, inspect.Parameter]:
    """The options of a factory: its parameters after the first `given` ones.

    Those named in ``without`` are left out.
    """
    parameters = list(inspect.signature(factory).parameters.values())[given:]
    flexible = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return {
        parameter.name: parameter
        for parameter in parameters
        if parameter.kind not in flexible and parameter.name not in without
    }


def takes(function: Callable[..., Any], name: str) -> bool:
    """Whether a function can be called with an argument of this name."""
    return _flexible(function) or name in inspect.signature(function).parameters


def _flexible(function: Callable[..., Any]) -> bool:
    """Whether a function takes named arguments of any name."""
    parameters = inspect.signature(function).parameters.values()
    return any(each.kind is inspect.Parameter.VAR_KEYWORD for each in parameters)


def check_value(name: str, value: object, *, depth: int = _DEEPEST) -> None:
    """Raise InputError for a value that cannot be computed with or stored.

    Numbers must be finite, whole ones fit into 64 bits, and lists and tables be nested less than
    `depth` deep.
    """
    if isinstance(value, float) and not math.isfinite(value):
        raise InputError(f"`{name}` must be a finite number, got {value}")
    if isinstance(value, int) and abs(value) >= _LARGEST:
        raise InputError(f"`{name}` must be a number below 2**63, got a larger one")
    if not isinstance(value, Mapping | list | tuple):
        return
    if depth == 0:
        raise InputError(f"`{name}` must hold lists and tables up to {_DEEPEST} deep")
    parts = value.items() if isinstance(value, Mapping) else enumerate(value)
    for key, item in parts:
        check_value(f"{name}.{key}", item, depth=depth - 1)


def check_whole(name: str, value: object, *, least: int = 0) -> None:
    """Raise InputError for an option that is no whole number of `least` or more."""
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise InputError(f"`{name}` must be a whole number of {least} or more, got {value!r}")


def check_options(
    what: str,
    factory: Callable[..., Any],
    options: Mapping[str, Any],
    *,
    given: int,
    without: Container[str] = (),
) -> None:
    """Raise InputError for a missing or unknown option of a factory, or one of a wrong kind.

    A kind is only checked where the signature says that it is a number, a text, or true or false,
    by its annotation or else by its default.

    Parameters
    ----------
    what
        For the message, e.g. ``"the surface 'gfn2'"``.
    factory
        The factory, whose signature gives the options.
    options
        The options to check.
    given
        Number of leading parameters that are not options.
    without
        Names of other parameters that are not options.
    """
    for name, value in options.items():
        check_value(name, value)
    known = options_of(factory, given, without=without)
    listed = f"has the options {', '.join(known)}" if known else "takes no options"
    if not _flexible(factory):
        for name in options:
            if name not in known:
                close = difflib.get_close_matches(name, known, 1, 0.5)
                hint = f"did you mean {close[0]!r}? It {listed}" if close else f"it {listed}"
                raise InputError(f"{what} has no option {name!r}; {hint}")
    for name, parameter in known.items():
        if parameter.default is inspect.Parameter.empty and name not in options:
            raise InputError(f"{what} needs the option {name!r}; it {listed}")
        if name in options:
            _check_kind(name, options[name], _annotation(parameter))


def _annotation(parameter: inspect.Parameter) -> object:
    """The annotation of a parameter; without one the type of its default, as if annotated.

    A whole number as a default does not say that there can be no other numbers.
    """
    if parameter.annotation is not inspect.Parameter.empty:
        return parameter.annotation
    kind = type(parameter.default)
    if kind is NoneType:
        return object  # it may be left out, which says nothing of what it is else
    return float if kind is int else kind


def _check_kind(name: str, value: object, annotation: object) -> None:
    """Raise InputError for a value of another kind than a simple annotation says."""
    parts: Sequence[object] = (annotation,)
    if isinstance(annotation, str):
        parts = annotation.split("|")
    elif get_origin(annotation) in (Union, UnionType):
        parts = get_args(annotation)
    kinds = [_kind(part) for part in parts]
    if "" in kinds or any(_is_of(kind, value) for kind in kinds):
        return
    wanted = " or ".join(_KINDS[kind] for kind in kinds if kind != "None")
    raise InputError(f"`{name}` must be {wanted or 'left out'}, got {value!r}")


def _kind(annotation: object) -> str:
    """The name of a simple type, from it or from source text; empty for any other annotation."""
    if annotation in (None, NoneType):
        return "None"
    if isinstance(annotation, type):
        return annotation.__name__ if annotation in (int, float, str, bool) else ""
    text = annotation.strip() if isinstance(annotation, str) else ""
    return text if text in {*_KINDS, "None"} else ""


def _is_of(kind: str, value: object) -> bool:
    """Whether a value is of a kind; a whole number is a number, and true and false are none."""
    if kind in ("int", "float"):
        number = Integral if kind == "int" else Real
        return isinstance(value, number) and not isinstance(value, bool)
    return isinstance(value, {"str": str, "bool": bool, "None": NoneType}[kind])


@dataclass(frozen=True)
class Entry:
    """What packages have registered under one name in a group of entry points.

    Attributes
    ----------
    name
        The name.
    points
        The entry points: ours alone, if there is one, else all that differ.
    """

    name: str
    points: tuple[EntryPoint, ...]

    @property
    def ours(self) -> bool:
        """Whether it is of this project."""
        return is_ours(self.points[0])

    def load(self, title: str) -> Any:
        """What is registered; InputError if that is not clear or cannot be loaded.

        `title` is what it is, for messages, e.g. ``"the policy 'mine'"``.
        """
        if len(self.points) > 1:
            told = " and ".join(point.value for point in self.points)
            raise InputError(
                f"{title} must be registered by one package, got {told}; uninstall one of them"
            )
        try:
            return self.points[0].load()
        except MissingPackageError:
            raise
        except Exception as error:
            raise InputError(f"{title} cannot be loaded: {said(error)}") from error


def is_ours(point: EntryPoint) -> bool:
    """Whether an entry point leads to a package of this project."""
    return re.split("[.:]", point.value)[0] in _OURS


def made_here(value: object) -> bool:
    """Whether the class of a value belongs to this project."""
    return type(value).__module__.split(".")[0] in _OURS


def entries(group: str) -> dict[str, Entry]:
    """What packages have registered in a group of entry points, by name, sorted.

    No other package can replace what is registered by this project.
    """
    named: dict[str, dict[str, EntryPoint]] = {}
    for point in sorted(entry_points(group=group), key=lambda point: (point.name, point.value)):
        named.setdefault(point.name, {})[point.value] = point
    return {
        name: Entry(name, tuple(filter(is_ours, every.values())) or tuple(every.values()))
        for name, every in named.items()
    }


def find_entry(group: str, what: str, name: str) -> Entry:
    """What is registered under a name; InputError for an unknown one.

    `what` is what it is, for the message, e.g. ``"policy"``.
    """
    known = entries(group)
    if name not in known:
        raise InputError(f"`{what}` must be one of {', '.join(known)}, got {name!r}")
    return known[name]


def load_entry(group: str, what: str, name: str, options: Mapping[str, Any], *given: Any) -> Any:
    """Build what a package has registered in a group of entry points.

    Parameters
    ----------
    group
        The group.
    what
        What it is, for messages, e.g. ``"policy"``.
    name
        The registered name.
    options
        The options, named arguments of the factory.
    *given
        Its first arguments.

    Raises
    ------
    InputError
        For an unknown name or option, and when it cannot be built.
    """
    title = f"the {what} {name!r}"
    factory = find_entry(group, what, name).load(title)
    check_options(title, factory, options, given=len(given))
    try:
        return factory(*given, **options)
    except AfirError:
        raise
    except Exception as error:
        raise InputError(f"{title} cannot be loaded: {said(error)}") from error
