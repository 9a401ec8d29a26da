import { describe, expect, it } from 'vitest';
import { checked, covers, type Head, isSigned, type Proof, rootOf, signedText } from './proof';

type Bytes = Uint8Array<ArrayBuffer>;

const ORIGIN = 'alertgraph/tnt_A/1/1';

async function sha256(...parts: Uint8Array[]): Promise<Bytes> {
  const all = new Uint8Array(parts.flatMap(part => [...part]));
  return new Uint8Array(await crypto.subtle.digest('SHA-256', all));
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

/** The tree as RFC 6962 defines it, with no cleverness: what the code is held to. */
async function treeOf(leaves: readonly Bytes[]): Promise<Bytes> {
  if (leaves.length === 1) return leaves[0]!;
  const split = largestPower(leaves.length);
  const [left, right] = [await treeOf(leaves.slice(0, split)), await treeOf(leaves.slice(split))];
  return sha256(new Uint8Array([1]), left, right);
}

async function pathOf(leaves: readonly Bytes[], index: number): Promise<Bytes[]> {
  if (leaves.length === 1) return [];
  const split = largestPower(leaves.length);
  const [left, right] = [leaves.slice(0, split), leaves.slice(split)];
  return index < split
    ? [...(await pathOf(left, index)), await treeOf(right)]
    : [...(await pathOf(right, index - split)), await treeOf(left)];
}

function largestPower(count: number): number {
  let power = 1;
  while (power * 2 < count) power *= 2;
  return power;
}

async function leavesOf(count: number): Promise<Bytes[]> {
  return Promise.all(Array.from({ length: count }, (_, index) => sha256(new Uint8Array([0, index]))));
}

async function headOf(leaves: readonly Bytes[]): Promise<Head> {
  const pair = (await crypto.subtle.generateKey('Ed25519', true, ['sign', 'verify'])) as CryptoKeyPair;
  const root = await treeOf(leaves);
  const unsigned = {
    treeSize: leaves.length,
    rootHash: hex(root),
    signedAt: '2026-11-23T12:00:00Z',
    keyId: `${ORIGIN}+1e1d785b`,
    publicKey: Buffer.from(await crypto.subtle.exportKey('raw', pair.publicKey)).toString('base64'),
    signature: '',
  };
  const text = new TextEncoder().encode(signedText(unsigned, root));
  const signature = await crypto.subtle.sign('Ed25519', pair.privateKey, text);
  return { ...unsigned, signature: Buffer.from(signature).toString('base64') };
}

async function proofOf(count: number, index: number): Promise<Proof> {
  const leaves = await leavesOf(count);
  return {
    leafIndex: index,
    leafHash: hex(leaves[index]!),
    inclusionPath: (await pathOf(leaves, index)).map(hex),
    head: await headOf(leaves),
  };
}

describe('a path', () => {
  it('leads from each leaf of each small tree to its root', async () => {
    for (let count = 1; count <= 17; count += 1) {
      const leaves = await leavesOf(count);
      const root = hex(await treeOf(leaves));
      for (let index = 0; index < count; index += 1) {
        const inclusionPath = (await pathOf(leaves, index)).map(hex);
        const head = { treeSize: count, rootHash: root } as Head;
        const found = await rootOf({ leafIndex: index, leafHash: hex(leaves[index]!), inclusionPath, head });
        expect(found && hex(found)).toBe(root);
      }
    }
  });

  it('of another length leads nowhere', async () => {
    const proof = await proofOf(7, 3);
    expect(await rootOf({ ...proof, inclusionPath: proof.inclusionPath.slice(1) })).toBeNull();
    expect(await rootOf({ ...proof, inclusionPath: [...proof.inclusionPath, proof.leafHash] })).toBeNull();
    expect(await rootOf({ ...proof, leafIndex: 7 })).toBeNull();
  });

  it('that is no hash leads nowhere', async () => {
    const proof = await proofOf(2, 0);
    expect(await rootOf({ ...proof, inclusionPath: ['xyz'] })).toBeNull();
  });
});

describe('a proof', () => {
  it('holds', async () => {
    expect(await checked(await proofOf(9, 8))).toEqual({ leadsToRoot: true, isSigned: true });
  });

  it('does not hold of another event', async () => {
    const proof = await proofOf(9, 4);
    const other = hex(await sha256(new Uint8Array([0, 99])));
    expect((await checked({ ...proof, leafHash: other })).leadsToRoot).toBe(false);
  });

  it('does not hold where the size, the time or the key was changed after it was signed', async () => {
    const { head } = await proofOf(5, 1);
    const { head: another } = await proofOf(5, 1);
    expect(await isSigned(head)).toBe(true);
    expect(await isSigned({ ...head, treeSize: 6 })).toBe(false);
    expect(await isSigned({ ...head, signedAt: '2026-11-23T12:00:01Z' })).toBe(false);
    expect(await isSigned({ ...head, publicKey: another.publicKey })).toBe(false);
    expect(await isSigned({ ...head, keyId: `alertgraph/tnt_B/1/1+1e1d785b` })).toBe(false);
  });
});

describe('a head', () => {
  const head = { treeSize: 10, keyId: 'alertgraph/tnt_A/2/101+1e1d785b' } as Head;

  it('covers as many events as its tree has, from the first that its name tells', () => {
    expect([100, 101, 110, 111].map(number => covers(head, number))).toEqual([false, true, true, false]);
    expect(covers(null, 1)).toBe(false);
  });
});
