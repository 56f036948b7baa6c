"""Octets <-> messages: IKEv2 as RFC 7296 section 3 lays it out. Imports nothing but the errors."""
