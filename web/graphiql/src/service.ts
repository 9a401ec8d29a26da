/** Speaks to the service that the page came from: operations over HTTP, subscriptions over its websocket. */
import { createGraphiQLFetcher, type Fetcher } from '@graphiql/toolkit';
import { type Client, createClient } from 'graphql-ws';

export interface Viewer {
  readonly subject: string;
  readonly role: string;
  readonly tenant: { readonly name: string };
}

export interface Service {
  readonly fetcher: Fetcher;
  readonly sockets: Client;
}

/** An address of the service: we are one step below it, wherever a proxy has put us. */
function addressOf(path: string): URL {
  return new URL(`../${path}`, document.baseURI);
}

/**
 * Return whom a key stands for.
 *
 * @throws Error With a sentence for a person, where the service refuses it or can't be reached.
 */
export async function viewerOf(key: string): Promise<Viewer> {
  let response: Response;
  try {
    response = await fetch(addressOf('graphql'), {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${key}` },
      body: JSON.stringify({ query: 'query Viewer { viewer { subject role tenant { name } } }' }),
    });
  } catch {
    throw new Error('The service can’t be reached.');
  }
  const answer = (await response.json()) as {
    data?: { viewer: Viewer };
    errors?: readonly { message: string }[];
  };
  if (!answer.data)
    throw new Error(answer.errors?.[0]?.message ?? `The service answered ${response.status}.`);
  return answer.data.viewer;
}

/** Return what GraphiQL asks by, with a key. */
export function serviceFor(key: string): Service {
  const sockets = addressOf('graphql');
  sockets.protocol = sockets.protocol === 'https:' ? 'wss:' : 'ws:';
  const client = createClient({
    url: sockets.href,
    lazy: true,
    connectionParams: { authorization: `Bearer ${key}` },
  });
  const fetcher = createGraphiQLFetcher({
    url: addressOf('graphql').href,
    headers: { authorization: `Bearer ${key}` },
    wsClient: client,
    // The service answers with multipart only who asks for it; we do not.
    enableIncrementalDelivery: false,
  });
  return { fetcher, sockets: client };
}
