"""The router as data."""
