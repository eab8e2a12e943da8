"""Potential energy surfaces: the protocol, the driver, the contract check, foreign code."""
