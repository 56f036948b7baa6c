"""The pure data path: ESP, GRE, the replay window, lifetimes by traffic, and which SA a packet leaves by."""
