"""alertgraph: the on-call brain of a company, behind one GraphQL API."""

__version__ = "0.1.0"
