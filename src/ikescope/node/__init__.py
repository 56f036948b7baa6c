"""One whole router: configuration, endpoint, tunnels and the data behind each show; no I/O."""
