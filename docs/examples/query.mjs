// Lists everything that is open and critical, page by page. Node 18 or newer, no packages.
const url = process.env.ALERTGRAPH_URL ?? "http://127.0.0.1:8000";
const key = process.env.ALERTGRAPH_KEY;

const OPEN = `query Open($filter: AlertFilter!, $first: Int!, $after: String) {
  alerts(filter: $filter, first: $first, after: $after) {
    pageInfo { hasNextPage endCursor }
    nodes { id title status sla { acknowledgeBy } }
  }
}`;

async function ask(query, variables) {
  const response = await fetch(`${url}/graphql`, {
    method: "POST",
    headers: { Authorization: `Bearer ${key}`, "Content-Type": "application/json" },
    body: JSON.stringify({ query, variables }),
  });
  const { data, errors } = await response.json();
  if (errors) throw new Error(`${errors[0].extensions.code}: ${errors[0].message}`);
  return data;
}

const filter = { status: ["TRIGGERED", "ACKNOWLEDGED"], severity: ["CRITICAL"] };
let after = null;
do {
  const { alerts } = await ask(OPEN, { filter, first: 100, after });
  for (const { id, status, title } of alerts.nodes) console.log(id, status, title);
  after = alerts.pageInfo.hasNextPage ? alerts.pageInfo.endCursor : null;
} while (after);
