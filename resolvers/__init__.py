"""The GraphQL schema and its translation to services."""
