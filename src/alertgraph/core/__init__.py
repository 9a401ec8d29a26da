"""What alertgraph decides: pure functions of state, command and time."""
