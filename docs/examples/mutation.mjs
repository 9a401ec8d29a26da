// Takes one alert: node mutation.mjs alr_…  Node 18 or newer, no packages.
const url = process.env.ALERTGRAPH_URL ?? "http://127.0.0.1:8000";
const key = process.env.ALERTGRAPH_KEY;
const alertId = process.argv[2];

const TAKE = `mutation Take($input: AcknowledgeAlertInput!) {
  acknowledgeAlert(input: $input) {
    changed
    alert { title status acknowledgedAt }
    errors { code message path }
  }
}`;

const response = await fetch(`${url}/graphql`, {
  method: "POST",
  headers: { Authorization: `Bearer ${key}`, "Content-Type": "application/json" },
  body: JSON.stringify({
    query: TAKE,
    // Sent again with the same key, it is done once and answered the same.
    variables: { input: { alertId, note: "on it", idempotencyKey: `take-${alertId}` } },
  }),
});
const { data, errors } = await response.json();
// The request itself: no valid key, not this role, a mistake in the document.
if (errors) throw new Error(errors[0].message);
const { changed, alert, errors: refused } = data.acknowledgeAlert;
// What was asked for: there is no such alert, or it is over.
if (refused.length) throw new Error(`${refused[0].code}: ${refused[0].message}`);
console.log(alert.status, changed ? "just now" : "already");
