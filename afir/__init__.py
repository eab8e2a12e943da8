"""One potential energy surface, one structure at a time: surfaces, forces and searches.

`Molecule` holds elements, charge and multiplicity, `load_surface` gives a surface, the searches
(`minimise`, `saddle`, `irc`, ...) are coroutines that ask for energies, and `solve` answers them
from a surface. The public names are loaded when they are first used, so that ``import afir`` costs
nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from afir.lazy import lazy_names

if TYPE_CHECKING:
    from afir.errors import AfirError, InputError, SurfaceError
    from afir.io.figures import save_figure
    from afir.io.structures import read_structure, write_xyz
    from afir.methods.afir_path import PushPath, push
    from afir.methods.artificial_force import ForceTerm
    from afir.methods.base import Known, Method, Offer, load_method, method_names
    from afir.methods.saddle_trial import saddle_trial
    from afir.molecule import Molecule
    from afir.pes.contract import check_surface
    from afir.pes.driver import Search, drive, reference_gradients, solve, stage
    from afir.pes.loading import load_surface
    from afir.pes.registry import surface_names
    from afir.pes.surface import Evaluation, Surface, Traits
    from afir.policies import (
        Contribution,
        Expectation,
        Explanation,
        Offers,
        Policy,
        Structures,
        Tried,
    )
    from afir.searches.hessian import hessian
    from afir.searches.irc import irc
    from afir.searches.known import KnownStructures
    from afir.searches.minimum import PathPoint, minimise
    from afir.searches.path import relax_path
    from afir.searches.saddle import Saddle, saddle
    from afir.searches.settings import StepSettings
    from afir.stationary import (
        Candidate,
        Confirmation,
        Minimum,
        Outcome,
        StationaryPoint,
        TrialResult,
    )
    from afir.units import BOHR, HARTREE, KJ_PER_MOL
    from afir.verification.minima import characterise
    from afir.verification.transition_states import confirm

__all__ = [
    "BOHR",
    "HARTREE",
    "KJ_PER_MOL",
    "AfirError",
    "Candidate",
    "Confirmation",
    "Contribution",
    "Evaluation",
    "Expectation",
    "Explanation",
    "ForceTerm",
    "InputError",
    "Known",
    "KnownStructures",
    "Method",
    "Minimum",
    "Molecule",
    "Offer",
    "Offers",
    "Outcome",
    "PathPoint",
    "Policy",
    "PushPath",
    "Saddle",
    "Search",
    "StationaryPoint",
    "StepSettings",
    "Structures",
    "Surface",
    "SurfaceError",
    "Traits",
    "TrialResult",
    "Tried",
    "characterise",
    "check_surface",
    "confirm",
    "drive",
    "hessian",
    "irc",
    "load_method",
    "load_surface",
    "method_names",
    "minimise",
    "push",
    "read_structure",
    "reference_gradients",
    "relax_path",
    "saddle",
    "saddle_trial",
    "save_figure",
    "solve",
    "stage",
    "surface_names",
    "write_xyz",
]

_HOMES = {
    "afir.errors": "AfirError InputError SurfaceError",
    "afir.io.figures": "save_figure",
    "afir.io.structures": "read_structure write_xyz",
    "afir.methods.afir_path": "PushPath push",
    "afir.methods.artificial_force": "ForceTerm",
    "afir.methods.base": "Known Method Offer load_method method_names",
    "afir.methods.saddle_trial": "saddle_trial",
    "afir.molecule": "Molecule",
    "afir.pes.contract": "check_surface",
    "afir.pes.driver": "Search drive reference_gradients solve stage",
    "afir.pes.loading": "load_surface",
    "afir.pes.registry": "surface_names",
    "afir.pes.surface": "Evaluation Surface Traits",
    "afir.policies": "Contribution Expectation Explanation Offers Policy Structures Tried",
    "afir.searches.hessian": "hessian",
    "afir.searches.irc": "irc",
    "afir.searches.known": "KnownStructures",
    "afir.searches.minimum": "PathPoint minimise",
    "afir.searches.path": "relax_path",
    "afir.searches.saddle": "Saddle saddle",
    "afir.searches.settings": "StepSettings",
    "afir.stationary": "Candidate Confirmation Minimum Outcome StationaryPoint TrialResult",
    "afir.units": "BOHR HARTREE KJ_PER_MOL",
    "afir.verification.minima": "characterise",
    "afir.verification.transition_states": "confirm",
}

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
