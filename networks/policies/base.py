"""Policies by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from afir.options import load_entry
from afir.policies import Policy
from networks.files import POLICIES

ENTRY_POINT_GROUP = POLICIES
"""Packages register a policy (`afir.policies.Policy`) under this entry-point group."""


def load_policy(name: str, options: Mapping[str, Any] | None = None) -> Policy:
    """Build a registered policy.

    Raises
    ------
    InputError
        For an unknown name or option, and when the policy cannot be built.
    """
    policy: Policy = load_entry(ENTRY_POINT_GROUP, "policy", name, options or {})
    return policy
