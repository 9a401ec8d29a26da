// Follows the log over a websocket, and goes on where it was when the connection breaks.
// Node 22 or newer, or a browser; npm install graphql-ws
import { createClient } from "graphql-ws";

const url = (process.env.ALERTGRAPH_URL ?? "http://127.0.0.1:8000").replace(/^http/, "ws") + "/graphql";
const key = process.env.ALERTGRAPH_KEY;

const FOLLOW = `subscription Follow($after: Cursor) {
  alertEventBatches(after: $after) {
    cursor
    live
    events { number kind summary alert { id title status } }
  }
}`;

const client = createClient({
  url,
  connectionParams: { authorization: `Bearer ${key}` },
  retryAttempts: Infinity,
  // Also when the service was killed; not when it says that the key is no good.
  shouldRetry: (closed) => ![4400, 4401, 4403].includes(closed?.code),
});

// From now on. To begin with a list that was loaded: its asOf.
const variables = { after: null };
client.subscribe(
  { query: FOLLOW, variables },
  {
    next: ({ data }) => {
      const { cursor, events } = data.alertEventBatches;
      for (const { number, kind, summary } of events) console.log(number, kind, summary);
      // The client sends its variables again when it connects again: from here on, then.
      variables.after = cursor;
    },
    // Such as CURSOR_EXPIRED: load the list again, and follow from its asOf.
    error: (errors) => {
      console.error(errors[0]?.message ?? errors);
      process.exitCode = 1;
    },
    complete: () => {},
  },
);
