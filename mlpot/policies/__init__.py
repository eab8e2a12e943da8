"""Policies that learned from earlier runs where to push."""
