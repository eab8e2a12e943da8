"""Element data: symbols, standard atomic weights and covalent radii."""

from __future__ import annotations

import numpy as np
from ase.data import atomic_masses, chemical_symbols
from numpy.typing import NDArray

SYMBOLS: tuple[str, ...] = tuple(chemical_symbols)
"""Element symbols by atomic number; index 0 is the dummy ``X``."""

MASSES: NDArray[np.float64] = np.asarray(atomic_masses, dtype=np.float64)
"""Standard atomic weights in amu by atomic number."""

# Pyykkö and Atsumi, single-bond radii in pm, H to Og (10.1002/chem.200800987).
_PYYKKO_PM = """
 32  46
133 102  85  75  71  63  64  67
155 139 126 116 111 103  99  96
196 171 148 136 134 122 119 116 111 110 112 118 124 121 121 116 114 117
210 185 163 154 147 138 128 125 125 120 128 136 142 140 140 136 133 131
232 196 180 163 176 174 173 172 168 169 168 167 166 165 164 170 162
152 146 137 131 129 122 123 124 133 144 144 151 145 147 142
223 201 186 175 169 170 171 172 166 166 168 168 165 167 173 176 161
157 149 143 141 134 129 128 121 122 136 143 162 175 165 157
"""

RADII: NDArray[np.float64] = np.array([np.nan] + [float(pm) / 100 for pm in _PYYKKO_PM.split()])
"""Single-bond covalent radii in Å by atomic number."""

# Pauling's scale, H to Rn, as revised by Allred (10.1016/0022-1902(61)80142-5); what he does not
# give is estimated: the light noble gases from Allen's scale (10.1021/ja00207a003), the rest
# between neighbours.
_PAULING = """
2.20                                                                                4.16
0.98 1.57                                                   2.04 2.55 3.04 3.44 3.98 4.79
0.93 1.31                                                   1.61 1.90 2.19 2.58 3.16 3.24
0.82 1.00 1.36 1.54 1.63 1.66 1.55 1.83 1.88 1.91 1.90 1.65 1.81 2.01 2.18 2.55 2.96 3.00
0.82 0.95 1.22 1.33 1.60 2.16 1.90 2.20 2.28 2.20 1.93 1.69 1.78 1.96 2.05 2.10 2.66 2.60
0.79 0.89 1.10 1.12 1.13 1.14 1.13 1.17 1.20 1.20 1.20 1.22 1.23 1.24 1.25 1.10
1.27 1.30 1.50 2.36 1.90 2.20 2.20 2.28 2.54 2.00 1.62 2.33 2.02 2.00 2.20 2.20
"""
_BEYOND = 1.3  # the heaviest elements are electropositive, and GFN2 does not have them

ELECTRONEGATIVITIES: NDArray[np.float64] = np.array(
    [np.nan, *map(float, _PAULING.split()), *[_BEYOND] * (len(RADII) - 87)]
)
"""Electronegativities on Pauling's scale by atomic number."""

_NOBLE = (0, 2, 10, 18, 36, 54, 86, 118)


def period(number: int) -> int:
    """The period of an element, from 1."""
    return int(np.searchsorted(_NOBLE, number))


def valence_electrons(number: int) -> int:
    """The number of valence electrons: the last digit of the group, 3 to 12 in the d-block.

    Lanthanides and actinides have 3, helium 2.
    """
    before = _NOBLE[period(number) - 1]
    place, length = number - before, _NOBLE[period(number)] - before
    if place <= 2:
        return place
    if length == 32:
        place = 3 if place <= 17 else place - 14
    last = place - (8 if length == 8 else 18) + 8  # counted back from the noble gas, which has 8
    return place if length > 8 and place <= 12 else last
