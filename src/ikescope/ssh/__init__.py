"""The process of SSH beside a router: it carries octets between people and the router's prompt, and decides nothing."""
