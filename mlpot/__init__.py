"""The floor for learned surfaces and learned choices, on top of `afir`.

It holds no model yet. A learned potential is a `afir.surface.Surface`: it answers a whole batch
of geometries at once and is registered as an entry point of the group ``afir.surfaces``. A
learned choice of the next push is a `networks.policy.Policy`, registered in the group
``afir.policies``. Both are found by name, so that this package and `networks` never import each
other.
"""
