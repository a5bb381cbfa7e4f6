"""The version of this Caxton. Equal to the one in pyproject.toml; a test compares them."""

VERSION = "0.1.0"
"""A constant, not a look-up in the installed metadata: that costs the command line 10 ms at each start."""
