"""SQLite: one file, one connection, one writer thread; numbered migrations. The only room that imports apsw.

What is kept is decided above: a room hands over its own statements (`bus.journal` gathers them into transactions).
"""
