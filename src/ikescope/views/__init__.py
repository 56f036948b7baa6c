"""Renderings of a session: ladder, message tree, walkthrough, JSON lines."""
