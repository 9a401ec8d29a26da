// The server audit of graphql-http, 61 checks of GraphQL over HTTP.
//
//     node http_audit.mjs URL AUTHORIZATION
//
// Introspection must be on. Prints one JSON object per check: {name, ok, detail}.
import { auditServer } from "graphql-http";

const [url, authorization] = process.argv.slice(2);
const fetchFn = (to, init = {}) =>
  fetch(to, { ...init, headers: { ...init.headers, ...(authorization ? { authorization } : {}) } });

for (const { id, name, status, reason } of await auditServer({ url, fetchFn })) {
  console.log(JSON.stringify({ name: `${id} ${name}`, ok: status === "ok", detail: reason ?? status }));
}
process.exit(0);
