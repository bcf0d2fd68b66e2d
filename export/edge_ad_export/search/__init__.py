"""The index, and whether there is one."""
