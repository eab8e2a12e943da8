"""The formats that a network is exported in, each registered in the group ``afir.exports``.

========  ===============================================================================
format    content
========  ===============================================================================
graphml   one graph for Gephi, Cytoscape, yEd …: EQs and DCs as nodes, TSs and the
          barrierless links of complexes to channels as edges
json      the same graph as node-link JSON (`networkx.node_link_graph` reads it), with
          coordinates
csv       four tables: ``NAME.csv`` gives ``NAME_eq.csv``, ``NAME_ts.csv``, ``NAME_dc.csv`` and
          ``NAME_barrierless.csv``
extxyz    all structures with id, kind and energy in eV
ase-db    an ASE database: one row a structure, with energy in eV and key-value pairs
========  ===============================================================================

Energies are in kJ/mol relative to the lowest EQ and in hartree, except where ASE reads them:
extended XYZ and the ASE database hold eV.
"""
