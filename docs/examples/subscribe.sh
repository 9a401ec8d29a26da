#!/bin/sh
# Follows the log as server-sent events, and goes on where it was: subscribe.sh [FILE that keeps the cursor]
set -eu
: "${ALERTGRAPH_URL:=http://127.0.0.1:8000}" "${ALERTGRAPH_KEY:?an API key}"
kept=${1:-cursor}
[ -s "$kept" ] || echo null > "$kept"

while :; do
    curl -sSN "$ALERTGRAPH_URL/graphql/stream" -H "Authorization: Bearer $ALERTGRAPH_KEY" \
        -H 'Accept: text/event-stream' -H 'Content-Type: application/json' -d '{
      "query": "subscription Follow($after: Cursor) { alertEventBatches(after: $after) { cursor events { number kind summary } } }",
      "variables": {"after": '"$(cat "$kept")"'}
    }' | sed -un 's/^data: *//p' | while read -r message; do
        printf '%s\n' "$message"
        cursor=$(printf '%s\n' "$message" | sed -n 's/.*"cursor":\("[^"]*"\).*/\1/p')
        [ -z "$cursor" ] || printf '%s\n' "$cursor" > "$kept"
    done || true
    sleep 1
done
