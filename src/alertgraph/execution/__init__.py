"""GraphQL documents: parsed, bounded, priced and executed. Knows nothing of alerts."""
