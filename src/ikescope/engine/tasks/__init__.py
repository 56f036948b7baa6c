"""One file an exchange: what we ask, and how we answer."""
