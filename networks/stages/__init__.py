"""Rounds of trials: what is asked, what the answers mean."""
