"""The error tree. Every deliberate error has a public `code` that never changes its meaning.
One file for each thing they speak of.

A class takes facts, keeps them as attributes and writes its own sentence: what happened, to which thing, the limit and
the value, what to do next. Text of strangers (guests, clients) appears only as `repr`, cut to a readable length.
"""
