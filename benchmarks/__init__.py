"""Measurements of this project by itself; each is a module to run and says how. None of them is a test."""
