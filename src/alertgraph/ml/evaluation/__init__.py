"""`alertgraph bench ml`: our numbers beside those to beat, on public data, judged in the order of time."""
