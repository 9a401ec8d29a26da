// The client graphql-ws against a server of graphql-transport-ws.
//
//     node ws_client.mjs URL AUTHORIZATION OPERATIONS
//
// OPERATIONS is JSON; what is left out is not checked: {"query", "mutation", "finite", "endless"} are documents, the
// last two subscriptions that complete by themselves after three events, and never. "first" names the events that
// `endless` yields at once (3 where left out), "named" are payloads that name `query` by its hash. Prints one JSON object per check: {name, ok, detail}.
import { createClient } from "graphql-ws";
import WebSocket from "ws";

const [url, authorization, given] = process.argv.slice(2);
const operations = { query: "{__typename}", first: 3, ...JSON.parse(given ?? "{}") };

const client = (options = {}) =>
  createClient({
    url,
    webSocketImpl: WebSocket,
    retryAttempts: 0,
    connectionParams: { authorization },
    ...options,
  });

// Everything an operation yields, until it completes or `most` results have come.
const all = (on, payload, most = Infinity) =>
  new Promise((resolve, reject) => {
    const results = [];
    const stop = on.subscribe(payload, {
      next: (result) => {
        results.push(result);
        if (results.length >= most) stop();
      },
      error: reject,
      complete: () => resolve(results),
    });
  });

const failure = (promise) => promise.then(() => "no error", (error) => error);
const shown = (error) => (error instanceof Error ? error.message : `${error?.code ?? ""} ${error?.reason ?? ""} ${JSON.stringify(error)}`);

async function check(name, run) {
  let timer;
  const late = new Promise((_, reject) => (timer = setTimeout(() => reject(new Error("took more than 10 s")), 10_000)));
  try {
    const outcome = await Promise.race([run(), late]);
    console.log(JSON.stringify({ name, ok: outcome === true, detail: outcome === true ? "" : JSON.stringify(outcome) }));
  } catch (error) {
    console.log(JSON.stringify({ name, ok: false, detail: shown(error) }));
  }
  clearTimeout(timer);
}

const shared = client();
const query = operations.query;
const codeOf = (errors) => (Array.isArray(errors) ? errors[0].extensions.code : shown(errors));

await check("query", async () => "data" in (await all(shared, { query }))[0]);
if (operations.mutation) await check("mutation", async () => "data" in (await all(shared, { query: operations.mutation }))[0]);
if (operations.named)
  // This client sends nothing without a text.
  await check("a document may be sent along with its hash", async () => {
    const answers = await Promise.all(operations.named.map((payload) => all(shared, { query, ...payload })));
    return answers.every(([answer]) => "data" in answer);
  });
if (operations.finite) {
  await check("subscription completes", async () => (await all(shared, { query: operations.finite })).length === 3);
  await check("50 subscriptions at once", async () => {
    const many = await Promise.all(Array.from({ length: 50 }, () => all(shared, { query: operations.finite })));
    return many.every((results) => results.length === 3);
  });
}
if (operations.endless) {
  await check("client stops a subscription", async () =>
    (await all(shared, { query: operations.endless }, operations.first)).length >= operations.first);
  await check("a broken operation leaves a running one alone", async () => {
    const running = client();
    const results = all(running, { query: operations.endless }, operations.first);
    const broken = await Promise.all(
      ["{", "{nopeNopeNope}", "query A{__typename} query B{__typename}"].map((text) => failure(all(running, { query: text }))),
    );
    const good = await all(running, { query });
    const fine = (await results).length >= operations.first && "data" in good[0] && broken.every(Array.isArray);
    await running.dispose();
    return fine;
  });
}
await check("operationName and variables", async () =>
  "data" in (await all(shared, {
    query: "query A($s: Boolean!) { a: __typename @skip(if: $s) b: __typename } query B { nopeNope: __typename }",
    operationName: "A",
    variables: { s: true },
  }))[0]);
await check("syntax error is an error message", async () => codeOf(await failure(all(shared, { query: "{" }))) === "PARSE_FAILED");
await check("validation error is an error message", async () =>
  codeOf(await failure(all(shared, { query: "{nopeNopeNope}" }))) === "VALIDATION_FAILED");
await check("several operations need a name", async () =>
  codeOf(await failure(all(shared, { query: "query A{__typename} query B{__typename}" }))) === "BAD_REQUEST");
await check("a variable of a wrong type is an error message", async () =>
  codeOf(await failure(all(shared, { query: "query($b:Boolean!){__typename @skip(if:$b)}", variables: { b: "x" } }))) ===
  "VALIDATION_FAILED");
await check("the socket outlived all of that", async () => "data" in (await all(shared, { query }))[0]);
await check("client pings are answered", async () => {
  let pongs = 0;
  const pinging = client({ lazy: false, keepAlive: 50, on: { pong: (received) => (pongs += received ? 1 : 0) } });
  await all(pinging, { query });
  await new Promise((resolve) => setTimeout(resolve, 300));
  await pinging.dispose();
  return pongs >= 2;
});
await check("bad credentials are 4403", async () => {
  const stranger = client({ connectionParams: { authorization: "Bearer wrong" } });
  return (await failure(all(stranger, { query }))).code === 4403;
});
await check("no credentials are 4403", async () => {
  const stranger = client({ connectionParams: undefined });
  return (await failure(all(stranger, { query }))).code === 4403;
});
await check("the client reconnects after the server lost it", async () => {
  let sockets = 0;
  let socket;
  const on = { connected: (opened) => { socket = opened; sockets += 1; } };
  const resilient = client({ lazy: false, retryAttempts: 3, retryWait: async () => {}, on });
  await all(resilient, { query });
  socket.terminate();
  await new Promise((resolve) => setTimeout(resolve, 300));
  const again = await all(resilient, { query });
  await resilient.dispose();
  return "data" in again[0] && sockets === 2;
});
await shared.dispose();
process.exit(0);
