"""A router as a process: sockets, the one timer, the control socket, recordings."""
