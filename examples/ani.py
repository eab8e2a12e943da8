"""ANI-1ccx as a calculator of ASE, for ``05_models_of_others.py`` and for the command line.

    PYTHONPATH=examples afir explore examples/h2co.xyz --surface ase:ani.ani1ccx --max-trials 4

The package includes the weights: ``pip install "afir[ani]"``, no download.
"""

import warnings

from ase.calculators.calculator import Calculator


def ani1ccx() -> Calculator:
    """ANI-1ccx for H, C, N and O, neutral molecules only (10.1038/s41467-019-10827-4)."""
    # TorchANI 2.0 is of 2020 and uses deprecated functions.
    warnings.filterwarnings("ignore", module="torchani|lark")
    from torchani.models import ANI1ccx

    # Single precision gives energies to 1e-4 eV, a hundred times too coarse for searches.
    model = ANI1ccx(periodic_table_index=True).double().requires_grad_(False)
    return model.ase()
