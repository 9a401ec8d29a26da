/** An operation that the server knows by the hash of its text. */
export interface Document<Result, Variables> {
  readonly id: string;
  /** Only while developing, when the server does not know it yet. */
  readonly text: string | undefined;
  /** Never there: it ties the types to the document. */
  readonly types?: (variables: Variables) => Result;
}

/** Return a document; called by what `npm run codegen` writes. */
export function document<Result, Variables>(
  hash: string,
  text: string | undefined,
): Document<Result, Variables> {
  return { id: `sha256:${hash}`, text };
}

/** What an answer to a document holds. */
export type ResultOf<D> = D extends Document<infer Result, infer _> ? Result : never;
/** What a document asks for. */
export type VariablesOf<D> = D extends Document<infer _, infer Variables> ? Variables : never;
