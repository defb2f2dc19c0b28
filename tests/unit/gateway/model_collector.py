"""A collector in memory, strict about what it takes, and a line to it that loses, repeats and reorders messages."""

import heapq
from hashlib import sha256

from gateway.runs import add, first_gap
from gateway.uplink import Alarm, Publish, SaveReceipt
from tests.unit.gateway.makers import KEY, ORIGIN, SIGNER, ModelLedger
from vitaledger import messages, witness
from vitaledger.checkpoint import Checkpoint, parse_unverified, sign_checkpoint
from vitaledger.entry import parse_body, parse_leaf, verify_body
from vitaledger.errors import VerificationError
from vitaledger.merkle import leaf_hash, root, verify_subtree_consistency
from vitaledger.prover import consistency_proof, root_from_tiles, subtree_consistency_proof
from vitaledger.tiles import MemoryTiles


class MemoryLog:
    """A LogView over made-up entries."""

    def __init__(self, signer=SIGNER):
        self.signer, self.rows, self.tiles = signer, [], MemoryTiles()

    def grow(self, rows):
        self.rows += rows
        self.tiles.extend(leaf_hash(leaf) for leaf, _ in rows)

    def checkpoint(self):
        if not self.rows:
            return None
        return sign_checkpoint(Checkpoint(self.signer.name, len(self.rows), self.tiles.root()), self.signer)

    def entries(self, first, end):
        return self.rows[first:end]

    def consistency_proof(self, size1, size2):
        return consistency_proof(self.tiles, size1, size2)

    def subtree_proof(self, first, end, size):
        return subtree_consistency_proof(self.tiles, first, end, size)

    def root_at(self, size):
        return root_from_tiles(self.tiles, size) if size <= len(self.rows) else None


class ModelCollector:
    """Answers as design and formats say; `stored` maps index to (leaf, body), `twice` counts what came again."""

    def __init__(self, known=(KEY,), tell_state=True):
        self.known, self.witnessed, self.roots = known, None, {}
        self.stored, self.runs, self.twice = {}, [], 0
        self.ledger, self.receipt, self.custody, self.tell_state = ModelLedger(), None, 0, tell_state
        self.refused = []

    def take(self, leaf, payload):
        if leaf == "up/checkpoint":
            return self._checkpoint(payload)
        if leaf == "up/entries":
            return self._entries(messages.ENTRIES.decode(messages.unpack(payload, leaf), leaf))
        return []

    def _checkpoint(self, payload):
        assert len(payload) <= messages.MAX_MESSAGE
        decision = witness.decide(self.known, self.witnessed, payload)
        if decision.state is not None:
            self.witnessed = decision.state
            self.roots[decision.state.size] = decision.state.root
        last = self.witnessed.note if self.witnessed else None
        answer = messages.CheckpointAnswer(sha256(payload).digest(), decision.status, decision.body, last)
        out = [("down/checkpoint", messages.CHECKPOINT_ANSWER.encode(answer))]
        if decision.status in {200, 409}:
            out += [self._answer(0, 200)] if self.tell_state else []
            out += self._receipt()
        else:
            self.refused.append((decision.status, decision.body))
        return out

    def _entries(self, message):
        first, end = message.first, message.first + len(message.entries)
        start = first // 256 * 256
        if message.size not in self.roots or not all(index in self.stored for index in range(start, first)):
            self.refused.append((409, first))
            return [self._answer(message.id, 409, "not there yet")]
        hashes = [leaf_hash(self.stored[index][0]) for index in range(start, first)]
        hashes += [leaf_hash(each.leaf) for each in message.entries]
        try:
            verify_subtree_consistency(start, end, root(hashes), message.size, self.roots[message.size], message.proof)
            for each in message.entries:
                verify_body(parse_leaf(each.leaf), parse_body(each.body))
        except VerificationError as error:
            self.refused.append((422, str(error)))
            return [self._answer(message.id, 422, str(error))]
        runs = add(self.runs, (first, end))
        if len(runs) > messages.MAX_RANGES:
            return [self._answer(message.id, 409, "too many ranges")]
        for index, each in enumerate(message.entries, first):
            if index in self.stored:
                assert self.stored[index] == (each.leaf, each.body)
                self.twice += 1
            self.stored[index] = (each.leaf, each.body)
        self.runs = runs
        prefix = first_gap(runs, 0)
        out = [self._answer(message.id, 200)]
        if prefix > self.custody:
            self.custody = prefix
            tree = MemoryTiles(leaf_hash(self.stored[n][0]) for n in range(prefix))
            self.receipt = self.ledger.custody(prefix, tree.root())
            out += self._receipt()
        return out

    def _answer(self, message_id, status, detail=""):
        ranges = tuple(messages.Range(*run) for run in self.runs)
        size = self.witnessed.size if self.witnessed else 0
        answer = messages.EntriesAnswer(message_id, status, ORIGIN, ranges, size, detail)
        return "down/entries", messages.ENTRIES_ANSWER.encode(answer)

    def _receipt(self):
        return [("down/receipt", messages.RECEIPT.encode(messages.Receipt(*self.receipt)))] if self.receipt else []


class Wire:
    """Messages both ways, each lost, repeated or late as the dice say."""

    def __init__(self, random, loss=0.0, repeat=0.0, late=0.05):
        self.random, self.loss, self.repeat, self.late = random, loss, repeat, late
        self.queue, self.number, self.sent, self.peak = [], 0, 0, 0

    def put(self, now, message):
        self.sent += 1
        for _ in range(1 + (self.random.random() < self.repeat)):
            if self.random.random() >= self.loss:
                self.number += 1
                late = self.random.expovariate(1 / self.late) if self.late else 0.0
                heapq.heappush(self.queue, (now + late, self.number, message))

    def due(self, now):
        while self.queue and self.queue[0][0] <= now:
            yield heapq.heappop(self.queue)[2]

    def cut(self):
        self.queue.clear()


class World:
    """An uplink, a wire and a collector, in steps of a quarter of a second."""

    def __init__(self, uplink, collector, up, down):
        self.uplink, self.collector, self.up, self.down = uplink, collector, up, down
        self.now, self.alarms, self.receipts, self.published = 0.0, [], [], []

    def act(self, actions):
        for action in actions:
            if isinstance(action, Publish):
                assert len(action.payload) <= messages.MAX_MESSAGE
                self.published.append((self.now, action.leaf))
                self.up.put(self.now, (action.leaf, action.payload))
            elif isinstance(action, SaveReceipt):
                self.receipts.append(action.receipt)
            elif isinstance(action, Alarm):
                self.alarms.append(action.text)

    def step(self, seconds=0.25):
        self.now += seconds
        for leaf, payload in list(self.up.due(self.now)):
            for answer in self.collector.take(leaf, payload):
                self.down.put(self.now, answer)
        for leaf, payload in list(self.down.due(self.now)):
            self.act(self.uplink.received(leaf, payload, self.now))
        self.act(self.uplink.tick(self.now))

    def run(self, seconds):
        end = self.now + seconds
        while self.now < end:
            self.step()


def newest(note):
    return parse_unverified(note)[0].size
