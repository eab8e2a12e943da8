"""Exploring, storing and reporting reaction-route networks.

The public names are loaded when they are first used, so that a worker process that imports one
module does not pay for the database and the graph library.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from networks.explorer import explore, open_run, resume
    from networks.network import ReactionNetwork
    from networks.settings import KEEP, Settings
    from networks.store import Store

__all__ = ["KEEP", "ReactionNetwork", "Settings", "Store", "explore", "open_run", "resume"]

_HOMES = {
    "KEEP": "networks.settings",
    "ReactionNetwork": "networks.network",
    "Settings": "networks.settings",
    "Store": "networks.store",
    "explore": "networks.explorer",
    "open_run": "networks.explorer",
    "resume": "networks.explorer",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
