"""Decisions over the configuration: proposals, traffic selectors, peers and their keys, each with its reasons."""
