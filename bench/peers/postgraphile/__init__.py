"""PostGraphile 5, from npm: GraphQL straight from the database's tables."""
