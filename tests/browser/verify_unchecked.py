"""What a collector hands over unchecked, made of the evidence world: to be spoilt by tests."""

from urllib.parse import parse_qs, urlsplit

import cbor2

from vitaledger import merkle


class Handed:
    """Entries `first` to `last` of a micro-chain; `log`, `entries` and `answer` are as they will be written."""

    def __init__(self, world, chain, first, last):
        ledger, gateway = world.ledger, world.gateway
        self.asked, self.instead = [], None
        self.times = None  # µs, from and to: only who asks for these gets anything
        size = len(gateway.entries)
        proven = lambda index: [index, ledger.leaves[index], list(ledger.proven(index).hashes)]  # noqa: E731
        after = world.after()
        quoted = [proven(0), after.root, list(after.consistency), [0, 1, *gateway.entries[1]]]
        edge = [0, 0, b"".join(merkle.leaf_hash(leaf) for leaf, _ in gateway.entries)]
        origin = "h.example/gateway/g1"
        key = [proven(world.enrolled)]
        self.log = [origin, chain, proven(world.anchored), key, quoted, [[first, last]], 0, [], [edge]]
        self.answer = [1, ledger.checkpoint(), [self.log]]
        self.entries = [
            [seq, index, *gateway.entries[index]]
            for seq in range(first, last + 1)
            for index in [gateway.where(chain, seq)]
        ]
        self.size = size

    def overview(self, route):
        """The answer to /unchecked."""
        self.asked.append(route.request.url)
        asked = parse_qs(urlsplit(route.request.url).query)
        begin, end = self.times or (0, 1 << 62)
        there = int(asked["from"][0]) < end and int(asked["to"][0]) > begin
        answer = self.answer if there else [*self.answer[:2], []]
        route.fulfill(**(self.instead or {"body": cbor2.dumps(answer), "content_type": "application/cbor"}))

    def page(self, route):
        """The answers to /unchecked/page: three entries at a time."""
        asked = parse_qs(urlsplit(route.request.url).query)
        assert int(asked["size"][0]) == self.size
        rest = [each for each in self.entries if each[0] >= int(asked["first"][0])]
        following = rest[3][0] if len(rest) > 3 else None
        route.fulfill(body=cbor2.dumps([1, rest[:3], [], following]), content_type="application/cbor")
