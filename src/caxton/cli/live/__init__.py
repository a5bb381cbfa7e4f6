"""Screens that go on until they are left: `caxton top`, `caxton monitor`. The only importer of textual."""
