"""Tools that are WebAssembly modules: run in the sandbox, on the loop's thread, with exactly what was granted."""
