"""The router as a process."""
