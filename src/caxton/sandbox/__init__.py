"""The sandbox: compiles guests, holds instances, calls them in slices of a millisecond, stops them at their limits.

The only room that knows wasmtime. Everything here runs on one thread, the one of the event loop; only compiling happens
in a child process, and one thread beside it turns the epoch.
"""
