"""Exploring, storing and reporting reaction-route networks.

The public names are loaded when they are first used, so that a worker process that imports one
module does not pay for the database and the graph library.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from networks.exploration.run import explore, open_run, resume
    from networks.graph.network import ReactionNetwork
    from networks.settings import KEEP, Settings
    from networks.storage.store import Store

__all__ = ["KEEP", "ReactionNetwork", "Settings", "Store", "explore", "open_run", "resume"]

_HOMES = {
    "KEEP": "networks.settings",
    "ReactionNetwork": "networks.graph.network",
    "Settings": "networks.settings",
    "Store": "networks.storage.store",
    "explore": "networks.exploration.run",
    "open_run": "networks.exploration.run",
    "resume": "networks.exploration.run",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
