"""Tools that come with the server: each a source like any other, off unless it is configured and granted."""
