"""Tasks from outside: the node calls for proposals, awards the best, and keeps what came of it."""
