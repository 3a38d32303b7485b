"""Experiments around a model: the protocols of the paper."""
