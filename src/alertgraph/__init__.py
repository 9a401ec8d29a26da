"""alertgraph: the on-call brain of a company, behind one GraphQL API."""
