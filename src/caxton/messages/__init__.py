"""FIPA-ACL messages: the acts, the message, JSON in and out. Pure: no I/O, no clock. Every room above may use it."""
