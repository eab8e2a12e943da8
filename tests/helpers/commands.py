"""Formaldehyde on the command line, and what is known of it."""

from __future__ import annotations

import json

import pytest

H2CO = "4\n\nC 0 0 0.05\nO 0 0 1.25\nH 0.9 0 -0.55\nH -0.95 0.02 -0.55\n"
REFERENCE_MINIMUM = -7.175648095  # hartree, GFN2 formaldehyde
REFERENCE_TS = -7.029080  # hartree, GFN2 H2CO → HCOH
REFERENCE_IMAGINARY = 2321.0


def said(capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    """The one JSON object that a command has printed."""
    value = json.loads(capsys.readouterr().out)
    assert isinstance(value, dict)
    return value
