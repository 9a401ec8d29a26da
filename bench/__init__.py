"""Measurements beside what they are compared with: `make bench`, or `python -m bench --help`."""
