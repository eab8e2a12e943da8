"""Exploring, storing and reporting reaction-route networks.

The public names are loaded when they are first used, so that a worker process that imports one
module does not pay for the database and the graph library.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from afir.lazy import lazy_names

if TYPE_CHECKING:
    from networks.exploration.events import Found, Progress, Stopped, TrialDone
    from networks.exploration.run import explore, open_run, resume
    from networks.graph.network import ReactionNetwork
    from networks.graph.routes import lowest_route
    from networks.records.structures import DC, EQ, TS
    from networks.records.trials import Trial
    from networks.reporting.energy_diagram import network_figure, profile_figure
    from networks.reporting.export import ExportFormat, export
    from networks.reporting.run import Run, load_run
    from networks.settings import Settings
    from networks.storage.base import ReadableStore, Store
    from networks.storage.run_file import RunFile

__all__ = [
    "DC",
    "EQ",
    "TS",
    "ExportFormat",
    "Found",
    "Progress",
    "ReactionNetwork",
    "ReadableStore",
    "Run",
    "RunFile",
    "Settings",
    "Stopped",
    "Store",
    "Trial",
    "TrialDone",
    "explore",
    "export",
    "load_run",
    "lowest_route",
    "network_figure",
    "open_run",
    "profile_figure",
    "resume",
]

_HOMES = {
    "networks.exploration.events": "Found Progress Stopped TrialDone",
    "networks.exploration.run": "explore open_run resume",
    "networks.graph.network": "ReactionNetwork",
    "networks.graph.routes": "lowest_route",
    "networks.records.structures": "DC EQ TS",
    "networks.records.trials": "Trial",
    "networks.reporting.energy_diagram": "network_figure profile_figure",
    "networks.reporting.export": "ExportFormat export",
    "networks.reporting.run": "Run load_run",
    "networks.settings": "Settings",
    "networks.storage.base": "ReadableStore Store",
    "networks.storage.run_file": "RunFile",
}

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
