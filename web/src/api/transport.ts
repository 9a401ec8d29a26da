/** Asks the service over HTTP, by the names of documents that it knows. */
import { key, signOut } from '../session';
import type { Document } from './document';

export interface ProblemAt {
  readonly code: string;
  readonly message: string;
  readonly path: readonly string[] | null;
}

/** Why there is no answer. */
export class ApiError extends Error {
  /**
   * @param code As in the schema's ErrorCode; OFFLINE where the service could not be asked.
   * @param requestId To quote to whoever runs the service.
   */
  constructor(
    readonly code: string,
    message: string,
    readonly requestId: string | null = null,
  ) {
    super(message);
  }
}

interface Answer<Result> {
  data?: Result | null;
  errors?: readonly { message: string; extensions?: { code?: string; requestId?: string } }[];
}

/** An address of the service, wherever a proxy has put us. */
export function addressOf(path: string): URL {
  return new URL(path, document.baseURI);
}

/** What a request says of its document. */
export function named<R, V>(asked: Document<R, V>): { documentId?: string; query?: string } {
  return asked.text === undefined ? { documentId: asked.id } : { query: asked.text };
}

/**
 * Return the answer to a query or mutation.
 *
 * @throws ApiError Whatever the caller can't mend; what they can is in a payload's `errors`.
 */
export async function ask<R, V>(asked: Document<R, V>, variables: V, signal?: AbortSignal): Promise<R> {
  const used = key.value;
  let response: Response;
  try {
    response = await fetch(addressOf('graphql'), {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        accept: 'application/json',
        ...(used === null ? {} : { authorization: `Bearer ${used}` }),
      },
      body: JSON.stringify({ ...named(asked), variables }),
      ...(signal ? { signal } : {}),
    });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new ApiError('OFFLINE', 'The service can’t be reached.');
  }
  let answer: Answer<R>;
  try {
    answer = (await response.json()) as Answer<R>;
  } catch {
    throw new ApiError('UNAVAILABLE', `The service answered ${response.status}.`);
  }
  const first = answer.errors?.[0];
  if (first || !answer.data) {
    const code = first?.extensions?.code ?? 'INTERNAL';
    if (code === 'UNAUTHENTICATED' && key.value === used) signOut('refused');
    throw new ApiError(
      code,
      first?.message ?? `The service answered ${response.status}.`,
      first?.extensions?.requestId ?? null,
    );
  }
  return answer.data;
}

/** Return a key under which a mutation may be sent again without being done twice. */
export function idempotencyKey(): string {
  return crypto.randomUUID();
}
