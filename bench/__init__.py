"""The assignment's exercises, a module each, and what the assignment published."""
