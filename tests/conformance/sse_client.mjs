// The client graphql-sse, distinct connections, against /graphql/stream.
//
//     node sse_client.mjs URL AUTHORIZATION OPERATIONS
//
// OPERATIONS is JSON, as for ws_client.mjs. Prints one JSON object per check: {name, ok, detail}.
import { createClient } from "graphql-sse";

const [url, authorization, given] = process.argv.slice(2);
const operations = { query: "{__typename}", first: 3, ...JSON.parse(given ?? "{}") };

const client = (options = {}) => createClient({ url, retryAttempts: 0, headers: { authorization }, ...options });

const all = (on, payload, most = Infinity) =>
  new Promise((resolve, reject) => {
    const results = [];
    const stop = on.subscribe(payload, {
      next: (result) => {
        results.push(result);
        if (results.length >= most) {
          stop();
          resolve(results);
        }
      },
      error: reject,
      complete: () => resolve(results),
    });
  });

const failure = (promise) => promise.then(() => "no error", (error) => error);

async function check(name, run) {
  let timer;
  const late = new Promise((_, reject) => (timer = setTimeout(() => reject(new Error("took more than 10 s")), 10_000)));
  try {
    const outcome = await Promise.race([run(), late]);
    console.log(JSON.stringify({ name, ok: outcome === true, detail: outcome === true ? "" : JSON.stringify(outcome) }));
  } catch (error) {
    console.log(JSON.stringify({ name, ok: false, detail: String(error?.message ?? JSON.stringify(error)) }));
  }
  clearTimeout(timer);
}

const shared = client();
const query = operations.query;
const code = async (text) => (await all(shared, { query: text }))[0].errors[0].extensions.code;

await check("query", async () => "data" in (await all(shared, { query }))[0]);
if (operations.mutation) await check("mutation", async () => "data" in (await all(shared, { query: operations.mutation }))[0]);
if (operations.named)
  await check("a document may be named by its hash", async () => {
    const answers = await Promise.all(operations.named.map((payload) => all(shared, payload)));
    return answers.every(([answer]) => "data" in answer);
  });
if (operations.finite)
  await check("subscription completes", async () => (await all(shared, { query: operations.finite })).length === 3);
if (operations.endless)
  await check("client stops a subscription", async () =>
    (await all(shared, { query: operations.endless }, operations.first)).length >= operations.first);
await check("operationName and variables", async () =>
  "data" in (await all(shared, {
    query: "query A($s: Boolean!) { a: __typename @skip(if: $s) b: __typename } query B { __typename }",
    operationName: "A",
    variables: { s: true },
  }))[0]);
await check("syntax error is told in the stream", async () => (await code("{")) === "PARSE_FAILED");
await check("validation error is told in the stream", async () => (await code("{nopeNopeNope}")) === "VALIDATION_FAILED");
await check("bad credentials are 401", async () => {
  const stranger = client({ headers: { authorization: "Bearer wrong" } });
  return (await failure(all(stranger, { query }))).response?.status === 401;
});
await check("several operations need a name", async () =>
  (await failure(all(shared, { query: "query A{__typename} query B{__typename}" }))).response?.status === 400);
shared.dispose();
process.exit(0);
