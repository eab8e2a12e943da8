"""Learned surfaces, on top of `afir`.

A learned potential is a `afir.pes.surface.Surface` that answers a whole batch of geometries at
once, registered as an entry point of the group ``afir.surfaces``, so that this package and
`networks` never import each other. torch and schnetpack are optional and loaded only when a learned
surface is asked for or trained.
"""
