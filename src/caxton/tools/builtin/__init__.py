"""Tools that are part of the server: off unless a table `[tools.NAME]` has them."""
