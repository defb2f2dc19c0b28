"""The definitions of RFC 6962 and RFC 9162, written down as they are read: slow, recursive, and sharing no code with
the product. Tests hold the product against it, and `generate.py` makes the vectors with it.
"""

from hashlib import sha256


def leaf_hash(data):
    return sha256(b"\x00" + data).digest()


def node_hash(left, right):
    return sha256(b"\x01" + left + right).digest()


def split(n):
    """The largest power of two below n."""
    k = 1
    while k * 2 < n:
        k *= 2
    return k


def root(leaves):
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    k = split(len(leaves))
    return node_hash(root(leaves[:k]), root(leaves[k:]))


def path(index, leaves):
    if len(leaves) == 1:
        return []
    k = split(len(leaves))
    if index < k:
        return [*path(index, leaves[:k]), root(leaves[k:])]
    return [*path(index - k, leaves[k:]), root(leaves[:k])]


def consistency(start, end, leaves, known=True):
    """The proof that the tree of these leaves holds [start, end)."""
    if (start, end) == (0, len(leaves)):
        return [] if known else [root(leaves)]
    k = split(len(leaves))
    if end <= k:
        return [*consistency(start, end, leaves[:k], known), root(leaves[k:])]
    if start >= k:
        return [*consistency(start - k, end - k, leaves[k:], known), root(leaves[:k])]
    return [*consistency(0, end - k, leaves[k:], False), root(leaves[:k])]


def is_subtree(start, end):
    if end <= start:
        return False
    power = 1
    while power < end - start:
        power *= 2
    return start % power == 0


def root_by_path(leaf, index, size, proof):
    """The root that an inclusion proof leads to, or None where it has not the right length."""
    if size == 1:
        return None if proof else leaf
    if not proof:
        return None
    k = split(size)
    below = (
        root_by_path(leaf, index, k, proof[:-1]) if index < k else root_by_path(leaf, index - k, size - k, proof[:-1])
    )
    if below is None:
        return None
    return node_hash(below, proof[-1]) if index < k else node_hash(proof[-1], below)


def roots_by_consistency(start, end, size, proof, subtree_root, known=True):
    """(root of [start, end), root of the tree) that a consistency proof leads to, or None where its length is wrong."""
    if (start, end) == (0, size):
        if known:
            return None if proof else (subtree_root, subtree_root)
        return (proof[0], proof[0]) if len(proof) == 1 else None
    if not proof:
        return None
    k, last, rest = split(size), proof[-1], proof[:-1]
    if end <= k:
        found = roots_by_consistency(start, end, k, rest, subtree_root, known)
        return found and (found[0], node_hash(found[1], last))
    if start >= k:
        found = roots_by_consistency(start - k, end - k, size - k, rest, subtree_root, known)
        return found and (found[0], node_hash(last, found[1]))
    found = roots_by_consistency(0, end - k, size - k, rest, subtree_root, False)
    return found and (node_hash(last, found[0]), node_hash(last, found[1]))
