"""The test world: virtual clock, mail room, memory data plane."""
