"""`python -m alertgraph` is the command line."""

from alertgraph.edge.cli import main

if __name__ == "__main__":
    main()
