"""The server's settings: which there are, where they come from, what may be told of them."""
