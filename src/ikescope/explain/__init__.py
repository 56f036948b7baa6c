"""The walk through a session, and its verdict."""
