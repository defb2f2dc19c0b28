"""Policies: which logs a verifier believes, and whose cosignatures it wants besides (C2SP tlog-policy).

    log <vkey> [<url>]
    witness <name> <vkey> [<url>]
    group <name> <k, any or all> <member> …
    quorum <name, or none>

One item a line, words apart by spaces and tabs, lines that start with # are comments. Names are defined before they
are used and once; each is a member of at most one group; there is exactly one quorum line. A checkpoint is good when
one of the logs has signed it under its own origin and the quorum has cosigned it.

    >>> from vitaledger.checkpoint import Checkpoint, sign_checkpoint
    >>> from vitaledger.keys import Ed25519Signer
    >>> from vitaledger.merkle import EMPTY_ROOT
    >>> log_key = Ed25519Signer("example.com/log", bytes(32))
    >>> policy = parse(f'''# the ledger, cosigned by nobody yet
    ... log {log_key.vkey}
    ... quorum none
    ... '''.encode())
    >>> signed = sign_checkpoint(Checkpoint("example.com/log", 0, EMPTY_ROOT), log_key)
    >>> policy.verify_checkpoint(signed).checkpoint.origin
    'example.com/log'
    >>> parse(b"quorum everyone\\n")
    Traceback (most recent call last):
    vitaledger.errors.MalformedError: policy line 1: expected a witness or group defined above, found 'everyone'

With n witnesses of which k must sign, two views of a log cannot both be cosigned if k is at least 1 + ⌊2n/3⌋.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from vitaledger import succession
from vitaledger.checkpoint import SignedCheckpoint, open_checkpoint
from vitaledger.errors import MalformedError, VerificationError
from vitaledger.keys import KeyType, Vkey, is_verifiable, parse_vkey, verifier_of
from vitaledger.text import parse_decimal

MAX_POLICY = 256 * 1024
_NONE = "none"
_CONTROL = re.compile(rb"[\x00-\x08\x0b-\x1f\x7f]")
_LOG_TYPES = {KeyType.ED25519, KeyType.ECDSA}
_WITNESS_TYPES = {KeyType.COSIGNATURE, KeyType.MLDSA44}


@dataclass(frozen=True, slots=True)
class Log:
    """A log that is believed; its key's name is its origin."""

    vkey: Vkey
    url: str | None = None


@dataclass(frozen=True, slots=True)
class Witness:
    """A cosigner; `name` is what the policy calls it."""

    name: str
    vkey: Vkey
    url: str | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """Witnesses and groups of which `threshold` must have cosigned."""

    name: str
    threshold: int
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Policy:
    """What a policy file says; each group stands below its members. `quorum` None asks for no cosignature."""

    logs: tuple[Log, ...]
    witnesses: tuple[Witness, ...]
    groups: tuple[Group, ...]
    quorum: str | None

    def verify_checkpoint(self, data: bytes) -> SignedCheckpoint:
        """The checkpoint of a note that a log of the policy and the quorum have signed.

        Raises MalformedError, or VerificationError where a signature is wrong or too few are there.
        """
        keys = [log.vkey for log in self.logs] + [witness.vkey for witness in self.witnesses]
        signed = open_checkpoint(data, [verifier_of(key) for key in keys if is_verifiable(key)])
        cosigners = {(each.name, each.key_id) for each in signed.cosignatures}
        seen = {each.name for each in self.witnesses if (each.vkey.name, each.vkey.key_id) in cosigners}
        for group in self.groups:
            if sum(member in seen for member in group.members) >= group.threshold:
                seen.add(group.name)
        if self.quorum is not None and self.quorum not in seen:
            found = ", ".join(repr(each.name) for each in self.witnesses if each.name in seen) or "none"
            raise VerificationError(
                f"checkpoint of {signed.checkpoint.origin}: expected cosignatures for the quorum "
                f"{self.quorum!r}, found those of {found}"
            )
        return signed


def parse(data: bytes) -> Policy:
    """The policy in a file's bytes; MalformedError says which line is wrong and what was expected."""
    if len(data) > MAX_POLICY:
        raise MalformedError(f"policy: expected at most {MAX_POLICY} bytes, found {len(data)}")
    draft = _Draft()
    for number, line in enumerate(data.split(b"\n"), start=1):
        try:
            draft.take_line(line)
        except MalformedError as error:
            raise MalformedError(f"policy line {number}: {error}") from error
    if not draft.quorums:
        raise MalformedError("policy: expected a quorum line, found none")
    (quorum,) = draft.quorums
    return Policy(tuple(draft.logs), tuple(draft.witnesses), tuple(draft.groups), None if quorum == _NONE else quorum)


def follow(policy: Policy, notes: Iterable[bytes]) -> Policy:
    """The policy with the logs that go on in the place of its own, each named in a note by the key of the one before.

    It trusts nobody new: whoever holds a log's key could sign what it likes under it, and the quorum stays as it is.

    Raises:
        MalformedError: not a succession note (vitaledger.succession).
        VerificationError: of a log that is neither in the policy nor named before, or not signed by its key.
    """
    logs = list(policy.logs)
    for note in notes:
        old_origin = succession.parse_unverified(note).old_origin
        old = next((log for log in logs if log.vkey.name == old_origin), None)
        if old is None:
            raise VerificationError(f"succession of {old_origin}: the policy does not know that log")
        logs.append(Log(parse_vkey(succession.open_succession(note, old.vkey).new_vkey)))
    return replace(policy, logs=tuple(logs))


@dataclass(slots=True)
class _Draft:
    logs: list[Log] = field(default_factory=list)
    witnesses: list[Witness] = field(default_factory=list)
    groups: list[Group] = field(default_factory=list)
    quorums: list[str] = field(default_factory=list)
    names: set[str] = field(default_factory=set)
    grouped: set[str] = field(default_factory=set)

    def take_line(self, line: bytes) -> None:
        if _CONTROL.search(line):
            raise MalformedError("expected no control character but tab and newline")
        # Octets above ASCII are opaque in a policy: surrogates keep those that are not UTF-8 apart.
        words = [word for word in re.split("[ \t]+", line.decode("utf-8", "surrogateescape")) if word]
        if words and not words[0].startswith("#"):
            self._take(words[0], words[1:])

    def _take(self, keyword: str, words: list[str]) -> None:
        match keyword:
            case "log":
                self._log(words)
            case "witness":
                self._witness(words)
            case "group":
                self._group(words)
            case "quorum":
                self._quorum(words)
            case _:
                raise MalformedError(f"expected log, witness, group or quorum, found {keyword[:60]!r}")

    def _log(self, words: list[str]) -> None:
        vkey, url = _key_and_url(words, "log <vkey> [<url>]", _LOG_TYPES)
        self._check_new_key(vkey, [log.vkey for log in self.logs])
        self.logs.append(Log(vkey, url))

    def _witness(self, words: list[str]) -> None:
        vkey, url = _key_and_url(words[1:], "witness <name> <vkey> [<url>]", _WITNESS_TYPES)
        self._define(words[0])
        self._check_new_key(vkey, [witness.vkey for witness in self.witnesses])
        self.witnesses.append(Witness(words[0], vkey, url))

    def _group(self, words: list[str]) -> None:
        if len(words) < 3:
            raise MalformedError("expected group <name> <k, any or all> <member> …")
        name, rule, *members = words
        for member in members:
            self._check_defined(member)
            if member in self.grouped:
                raise MalformedError(f"expected each name in one group only, found {member[:60]!r} again")
            self.grouped.add(member)
        words_for = {"any": 1, "all": len(members)}
        threshold = words_for[rule] if rule in words_for else parse_decimal(rule, "group threshold")
        if not 1 <= threshold <= len(members):
            raise MalformedError(f"expected a threshold of 1 to {len(members)}, found {threshold}")
        self._define(name)
        self.groups.append(Group(name, threshold, tuple(members)))

    def _quorum(self, words: list[str]) -> None:
        if len(words) != 1:
            raise MalformedError("expected quorum <name, or none>")
        if self.quorums:
            raise MalformedError("expected one quorum line, found another")
        if words[0] != _NONE:
            self._check_defined(words[0])
        self.quorums.append(words[0])

    def _define(self, name: str) -> None:
        if name == _NONE or name in self.names:
            raise MalformedError(f"expected a new name, found {name[:60]!r}")
        self.names.add(name)

    def _check_defined(self, name: str) -> None:
        if name not in self.names:
            raise MalformedError(f"expected a witness or group defined above, found {name[:60]!r}")

    def _check_new_key(self, vkey: Vkey, others: list[Vkey]) -> None:
        if any(vkey.public_key == other.public_key for other in others):
            raise MalformedError(f"expected each key once, found that of {vkey.name} again")
        known = [log.vkey for log in self.logs] + [witness.vkey for witness in self.witnesses]
        if any((vkey.name, vkey.key_id) == (other.name, other.key_id) for other in known):
            raise MalformedError(f"expected each key name and ID once, found {vkey.name}+{vkey.key_id.hex()} again")


def _key_and_url(words: list[str], form: str, types: set[KeyType]) -> tuple[Vkey, str | None]:
    if len(words) not in {1, 2}:
        raise MalformedError(f"expected {form}")
    vkey = parse_vkey(words[0])
    if vkey.type not in types:
        raise MalformedError(f"expected {form} with a key of another type, found type {vkey.type:#04x}")
    return vkey, words[1] if len(words) > 1 else None
