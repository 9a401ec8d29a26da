/**
 * Checks that an event stands in a signed log, without believing whoever sent the proof: the path from the leaf leads
 * to the root (RFC 9162, 2.1.3.2), and the root is signed (Ed25519).
 */

export interface Head {
  readonly treeSize: number;
  /** Hex. */
  readonly rootHash: string;
  readonly signedAt: string;
  /** Name of the log, `+`, and which key. */
  readonly keyId: string;
  /** Base64. */
  readonly publicKey: string;
  /** Base64. */
  readonly signature: string;
}

export interface Proof {
  readonly leafIndex: number;
  /** Hex. */
  readonly leafHash: string;
  /** Hex, from the leaf up. */
  readonly inclusionPath: readonly string[];
  readonly head: Head;
}

type Bytes = Uint8Array<ArrayBuffer>;

/** What a check came to; `unknown` where this browser can't check signatures. */
export interface Finding {
  readonly leadsToRoot: boolean;
  readonly isSigned: boolean | 'unknown';
}

const NODE_PREFIX = 1;

/** Return what a proof proves. */
export async function checked(proof: Proof): Promise<Finding> {
  const root = await rootOf(proof);
  return {
    leadsToRoot: root !== null && hexOf(root) === proof.head.rootHash.toLowerCase(),
    isSigned: await isSigned(proof.head),
  };
}

/** Return the root that a path leads to; null where its length is not right. */
export async function rootOf({ leafIndex, leafHash, inclusionPath, head }: Proof): Promise<Bytes | null> {
  let result = bytesOf(leafHash);
  if (result === null || leafIndex < 0 || leafIndex >= head.treeSize) return null;
  // Numbers, not bits: a log may have more events than 32 bits count.
  let at = leafIndex;
  let last = head.treeSize - 1;
  for (const text of inclusionPath) {
    const sibling = bytesOf(text);
    if (last === 0 || sibling === null) return null;
    if (at % 2 === 1 || at === last) {
      result = await nodeHash(sibling, result);
      while (at !== 0 && at % 2 === 0) {
        at = Math.floor(at / 2);
        last = Math.floor(last / 2);
      }
    } else {
      result = await nodeHash(result, sibling);
    }
    at = Math.floor(at / 2);
    last = Math.floor(last / 2);
  }
  return last === 0 ? result : null;
}

/** Return whether a head is signed by the key that comes with it: whose that is, it can't say by itself. */
export async function isSigned(head: Head): Promise<boolean | 'unknown'> {
  const root = bytesOf(head.rootHash);
  if (root === null) return false;
  try {
    const key = await crypto.subtle.importKey('raw', fromBase64(head.publicKey), 'Ed25519', false, [
      'verify',
    ]);
    const text = new TextEncoder().encode(signedText(head, root));
    return await crypto.subtle.verify('Ed25519', key, fromBase64(head.signature), text);
  } catch (error) {
    // An older browser, or a page that came over plain HTTP from another machine.
    if (!(error instanceof DOMException) || error.name === 'NotSupportedError') return 'unknown';
    return false;
  }
}

/** Return what is signed: a checkpoint as transparency logs have it. */
export function signedText(head: Head, root: Bytes): string {
  const origin = head.keyId.slice(0, head.keyId.lastIndexOf('+'));
  return `${origin}\n${head.treeSize}\n${toBase64(root)}\nsignedAt ${head.signedAt}\n`;
}

/**
 * Return whether a head covers the event of a number. Where a log was begun anew, its name tells the number of the
 * first event in it.
 */
export function covers(head: Head | null, number: number): boolean {
  if (head === null) return false;
  const first = Number(/\/(\d+)\+[^+]*$/.exec(head.keyId)?.[1] ?? 1);
  return number >= first && number < first + head.treeSize;
}

async function nodeHash(left: Bytes, right: Bytes): Promise<Bytes> {
  const both = new Uint8Array(1 + left.length + right.length);
  both[0] = NODE_PREFIX;
  both.set(left, 1);
  both.set(right, 1 + left.length);
  return new Uint8Array(await crypto.subtle.digest('SHA-256', both));
}

function bytesOf(hex: string): Bytes | null {
  if (!/^(?:[0-9a-f]{2})*$/i.test(hex)) return null;
  return new Uint8Array(hex.match(/../g)?.map(pair => Number.parseInt(pair, 16)) ?? []);
}

function hexOf(bytes: Bytes): string {
  return Array.from(bytes, byte => byte.toString(16).padStart(2, '0')).join('');
}

function fromBase64(text: string): Bytes {
  return Uint8Array.from(atob(text), character => character.charCodeAt(0));
}

function toBase64(bytes: Bytes): string {
  return btoa(String.fromCharCode(...bytes));
}
