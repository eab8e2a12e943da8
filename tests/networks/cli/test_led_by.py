"""The policy that the first line of a run names."""

from __future__ import annotations

import pytest

from networks.cli.arguments import led_by
from networks.settings import Settings


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (Settings(), ""),
        (Settings(policy_options={"low_weight": 2.0}), ", policy learned low_weight=2.0"),
        (Settings(policy="exhaustive"), ", policy exhaustive"),
    ],
)
def test_a_policy_is_named_if_it_is_not_the_default(settings: Settings, words: str) -> None:
    assert led_by(settings) == words
