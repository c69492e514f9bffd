"""Decides what to do now from facts, policy and clock. Pure."""
