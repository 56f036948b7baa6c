"""ikescope: an IKEv2 / IPsec site-to-site VPN router that one can see through."""

__version__ = "0.1.0"
