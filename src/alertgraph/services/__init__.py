"""The shell: loads, asks the core, appends once, answers."""
