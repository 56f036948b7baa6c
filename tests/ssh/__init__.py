"""The router's prompt by SSH: the tools that people drive routers with, and who must not get in."""
