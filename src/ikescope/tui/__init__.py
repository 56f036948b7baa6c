"""What a person at a terminal talks to."""
