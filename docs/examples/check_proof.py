"""Check a proof of alertgraph's without alertgraph: plain Python, and `cryptography` for Ed25519.

    python check_proof.py PROOF KEY [EARLIER]

PROOF is a file that `alertgraph audit prove` or `alertgraph audit grown` wrote, or the answer to a GraphQL query
for `auditProof { event { number detail } leafIndex leafHash inclusionPath head { … } }`, with all that a head has.
KEY is whom you believe, as `alertgraph audit keys` prints it: get it once, from somebody you trust, and keep it.
EARLIER is the checkpoint that you kept from before, for a proof of `alertgraph audit grown`.

Ends with 0 and a sentence where the proof holds, else with 1 and the reason.
"""

import base64
import hashlib
import json
import sys

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


def main(proof_path: str, key: str, earlier_path: str | None = None) -> str:
    """Return what is proved; raises ValueError where nothing is."""
    with open(proof_path, encoding="utf-8") as file:
        proof = json.load(file)
    if "data" in proof:
        proof = from_graphql(proof["data"]["auditProof"])
    origin, size, root, told_at = opened(proof["checkpoint"], key)
    if proof["format"] == "alertgraph-inclusion/1":
        check_inclusion(proof, origin, size, root)
        return f"Event {proof['number']} stands in the log of {size} events, {told_at}."
    if proof["format"] == "alertgraph-consistency/1":
        if earlier_path is None:
            raise ValueError("the checkpoint that you kept from before is needed, too")
        with open(earlier_path, encoding="utf-8") as file:
            before_origin, before_size, before_root, _ = opened(file.read(), key)
        if before_origin != origin or before_size != proof["earlierSize"]:
            raise ValueError("the proof is about other checkpoints than yours")
        check_consistency(before_size, size, before_root, root, hashes(proof["path"]))
        return f"The log of {size} events only added to the one of {before_size}, {told_at}."
    raise ValueError("this is no proof of a format that is known here")


# ------------------------------------------------------------------------------- who signed what


def opened(note: str, key: str) -> tuple[str, int, bytes, str]:
    """Return origin, size and root of a signed note, and what it says of the time, if the key signed it."""
    name, _, rest = key.partition("+")
    told_hash, _, encoded = rest.partition("+")
    raw = base64.b64decode(encoded, validate=True)
    key_hash = hashlib.sha256(name.encode() + b"\n" + raw).digest()[:4]
    if raw[:1] != b"\x01" or key_hash.hex() != told_hash:
        raise ValueError("this is no key")
    text, _, signatures = note.rpartition("\n\n")
    text += "\n"
    origin, size, root, *extensions = text.splitlines()
    for line in signatures.splitlines():
        dash, signer, encoded = line.split(" ")
        signed = base64.b64decode(encoded, validate=True)
        if dash == "—" and (signer, signed[:4]) == (name, key_hash) and origin == name:
            try:
                Ed25519PublicKey.from_public_bytes(raw[1:]).verify(signed[4:], text.encode())
            except InvalidSignature:
                raise ValueError("the signature of the checkpoint is wrong") from None
            return origin, int(size), base64.b64decode(root, validate=True), " ".join(extensions)
    raise ValueError("the checkpoint is not signed by this key")


# ----------------------------------------------------------------------- trees (RFC 9162, section 2)


def node(left: bytes, right: bytes) -> bytes:
    """Return the hash over two hashes."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def hashes(texts: list[str]) -> list[bytes]:
    """Return hashes from their hex."""
    return [bytes.fromhex(text) for text in texts]


def check_inclusion(proof: dict, origin: str, size: int, root: bytes) -> None:
    """Raise ValueError where an event is not at its place in the tree (2.1.3.2)."""
    at, last = proof["leafIndex"], size - 1
    leaf = bytes.fromhex(proof["leafHash"])
    # The origin ends in the number of the first event.
    if proof["number"] != int(origin.rpartition("/")[2]) + at or not 0 <= at <= last:
        raise ValueError("the event is not of this place")
    if proof["content"] is not None and hashlib.sha256(b"\x00" + proof["content"].encode()).digest() != leaf:
        raise ValueError("the content is not what was hashed")
    result = leaf
    for sibling in hashes(proof["inclusionPath"]):
        if at & 1 or at == last:
            result = node(sibling, result)
            while at and not at & 1:
                at, last = at >> 1, last >> 1
        else:
            result = node(result, sibling)
        at, last = at >> 1, last >> 1
    if last or result != root:
        raise ValueError("the path does not lead from the event to the checkpoint")


def check_consistency(earlier: int, size: int, before: bytes, root: bytes, path: list[bytes]) -> None:
    """Raise ValueError where a tree does not begin with an earlier one (2.1.4.2)."""
    wrong = ValueError("the later log does not begin with the earlier one")
    if earlier == size:
        if path or before != root:
            raise wrong
        return
    if earlier & (earlier - 1) == 0:
        path = [before, *path]
    at, last = earlier - 1, size - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    if not 0 < earlier < size or not path:
        raise wrong
    old = new = path[0]
    for sibling in path[1:]:
        if last == 0:
            raise wrong
        if at & 1 or at == last:
            old, new = node(sibling, old), node(sibling, new)
            while at and not at & 1:
                at, last = at >> 1, last >> 1
        else:
            new = node(new, sibling)
        at, last = at >> 1, last >> 1
    if last or old != before or new != root:
        raise wrong


# ---------------------------------------------------------------------------------------- GraphQL


def from_graphql(answer: dict) -> dict:
    """Return what a proof file says, from the answer to a query for `auditProof`."""
    head, event = answer["head"], answer["event"]
    origin, _, key_hash = head["keyId"].rpartition("+")
    signed = base64.b64encode(bytes.fromhex(key_hash) + base64.b64decode(head["signature"])).decode()
    root = base64.b64encode(bytes.fromhex(head["rootHash"])).decode()
    text = f"{origin}\n{head['treeSize']}\n{root}\nsignedAt {head['signedAt']}\n"
    return {
        "format": "alertgraph-inclusion/1",
        "number": event["number"],
        "leafIndex": answer["leafIndex"],
        "leafHash": answer["leafHash"],
        # As it was hashed: keys in order, nothing between, and no character escaped that need not be.
        "content": json.dumps(event["detail"], sort_keys=True, separators=(",", ":"), ensure_ascii=False),
        "inclusionPath": answer["inclusionPath"],
        "checkpoint": f"{text}\n— {origin} {signed}\n",
    }


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    try:
        sys.stdout.write(main(*sys.argv[1:]) + "\n")
    except (ValueError, KeyError, TypeError, OSError) as error:
        sys.exit(f"NOT PROVED: {error}")
