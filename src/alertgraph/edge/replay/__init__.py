"""`alertgraph replay`: past alerts with labels, told to a service on a clock of its own. No service loads it."""
