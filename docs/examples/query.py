"""List everything that is open and critical, page by page. Standard library only."""

import json
import os
import urllib.request

URL = os.environ.get("ALERTGRAPH_URL", "http://127.0.0.1:8000")
KEY = os.environ["ALERTGRAPH_KEY"]
OPEN = """
query Open($filter: AlertFilter!, $first: Int!, $after: String) {
  alerts(filter: $filter, first: $first, after: $after) {
    pageInfo { hasNextPage endCursor }
    nodes { id title status sla { acknowledgeBy } }
  }
}
"""


def ask(query: str, variables: dict) -> dict:
    """Return the data of an operation; a GraphQL error ends the program with its sentence."""
    request = urllib.request.Request(
        f"{URL}/graphql",
        json.dumps({"query": query, "variables": variables}).encode(),
        {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=20) as response:
        answer = json.load(response)
    if "errors" in answer:
        raise SystemExit(f"{answer['errors'][0]['extensions']['code']}: {answer['errors'][0]['message']}")
    return answer["data"]


chosen = {"status": ["TRIGGERED", "ACKNOWLEDGED"], "severity": ["CRITICAL"]}
after = None
while True:
    page = ask(OPEN, {"filter": chosen, "first": 100, "after": after})["alerts"]
    for alert in page["nodes"]:
        print(alert["id"], alert["status"], alert["title"])
    after = page["pageInfo"]["endCursor"]
    if not page["pageInfo"]["hasNextPage"]:
        break
