"""A show: three made-up companies whose things break, live, on a service that is started for it."""
