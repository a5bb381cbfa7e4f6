"""FIPA's interaction protocols: who may say what in which state. Pure."""
