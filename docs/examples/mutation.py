"""Take one alert: mutation.py alr_…  Standard library only."""

import json
import os
import sys
import urllib.request

URL = os.environ.get("ALERTGRAPH_URL", "http://127.0.0.1:8000")
KEY = os.environ["ALERTGRAPH_KEY"]
TAKE = """
mutation Take($input: AcknowledgeAlertInput!) {
  acknowledgeAlert(input: $input) {
    changed
    alert { title status acknowledgedAt }
    errors { code message path }
  }
}
"""

alert_id = sys.argv[1]
request = urllib.request.Request(
    f"{URL}/graphql",
    json.dumps(
        {
            "query": TAKE,
            # Sent again with the same key, it is done once and answered the same.
            "variables": {"input": {"alertId": alert_id, "note": "on it", "idempotencyKey": f"take-{alert_id}"}},
        }
    ).encode(),
    {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"},
)
with urllib.request.urlopen(request, timeout=20) as response:
    answer = json.load(response)
if "errors" in answer:  # The request itself: no valid key, not this role, a mistake in the document.
    raise SystemExit(answer["errors"][0]["message"])
payload = answer["data"]["acknowledgeAlert"]
if payload["errors"]:  # What was asked for: there is no such alert, or it is over.
    raise SystemExit(f"{payload['errors'][0]['code']}: {payload['errors'][0]['message']}")
print(payload["alert"]["status"], "just now" if payload["changed"] else "already")
