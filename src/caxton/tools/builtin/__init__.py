"""Tools that come with the server, each off unless an operator names it: `[tools.NAME]` with `type = "builtin"`."""
