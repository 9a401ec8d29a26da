#!/bin/sh
# Takes one alert: mutation.sh alr_…
set -eu
: "${ALERTGRAPH_URL:=http://127.0.0.1:8000}" "${ALERTGRAPH_KEY:?an API key}"

curl -sS "$ALERTGRAPH_URL/graphql" -H "Authorization: Bearer $ALERTGRAPH_KEY" -H 'Content-Type: application/json' -d '{
  "query": "mutation Take($input: AcknowledgeAlertInput!) { acknowledgeAlert(input: $input) { changed alert { status acknowledgedAt } errors { code message path } } }",
  "variables": {"input": {"alertId": "'"$1"'", "note": "on it", "idempotencyKey": "take-'"$1"'"}}
}'
