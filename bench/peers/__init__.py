"""Programs of other people that alertgraph is measured beside, each installed and run as its makers say."""
