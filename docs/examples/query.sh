#!/bin/sh
# Lists what is open and critical.
set -eu
: "${ALERTGRAPH_URL:=http://127.0.0.1:8000}" "${ALERTGRAPH_KEY:?an API key}"

curl -sS "$ALERTGRAPH_URL/graphql" -H "Authorization: Bearer $ALERTGRAPH_KEY" -H 'Content-Type: application/json' -d '{
  "query": "query Open($filter: AlertFilter!, $first: Int!) { alerts(filter: $filter, first: $first) { asOf pageInfo { hasNextPage endCursor } nodes { id title status } } }",
  "variables": {"filter": {"status": ["TRIGGERED", "ACKNOWLEDGED"], "severity": ["CRITICAL"]}, "first": 20}
}'
