"""The composition roots: they build the parts and join them."""
