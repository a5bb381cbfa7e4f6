"""Words every other room uses: errors, names, units, clocks. Does no I/O; imports nothing of Caxton."""
