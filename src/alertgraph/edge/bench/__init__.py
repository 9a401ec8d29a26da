"""What `alertgraph bench` runs: large contents to measure on. No service loads it."""
