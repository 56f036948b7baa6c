"""The data planes of a host: where ESP meets devices, sockets and routes."""
