"""The node: reads settings, builds every room, serves, drains and stops. The only room that sees all the others."""
