"""The page of a running router, served by a process of its own that holds no key and no capability."""
