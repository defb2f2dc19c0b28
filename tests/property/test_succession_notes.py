from hypothesis import given
from hypothesis import strategies as st

from vitaledger import fork, succession
from vitaledger.checkpoint import Checkpoint, sign_checkpoint
from vitaledger.errors import MalformedError, VerificationError
from vitaledger.keys import Ed25519Signer
from vitaledger.merkle import leaf_hash
from vitaledger.prover import consistency_proof, root_from_tiles
from vitaledger.succession import Succession
from vitaledger.tiles import MemoryTiles

OLD = Ed25519Signer("h.example/gateway/g1", bytes(32))
NOTES = st.builds(
    Succession,
    st.just(OLD.name),
    st.integers(0, 2**63 - 1),
    st.binary(min_size=32, max_size=32),
    st.integers(2, 999_999).map(lambda n: str(Ed25519Signer(f"{OLD.name}/{n}", bytes(32)).vkey)),
)


@given(NOTES)
def test_a_note_comes_back_as_it_was(said):
    note = succession.sign_succession(said, OLD)
    assert succession.open_succession(note, OLD.vkey) == succession.parse_unverified(note) == said


@given(NOTES, st.integers(0, 10_000), st.integers(1, 255))
def test_a_changed_note_is_refused(said, at, change):
    note = bytearray(succession.sign_succession(said, OLD))
    note[at % len(note)] ^= change
    try:
        found = succession.open_succession(bytes(note), OLD.vkey)
    except (MalformedError, VerificationError):
        return
    raise AssertionError(found)


@given(st.text("vitaledger succession1/\n+=hexamplgw2", max_size=300))
def test_what_parses_is_written_the_same(text):
    try:
        said = succession.parse_text(text)
    except MalformedError:
        return
    assert succession.encode_text(said) == text


@given(st.integers(1, 300), st.integers(1, 300), st.integers(0, 299))
def test_two_logs_prove_a_fork_where_they_differ_and_only_there(one, other, differ):
    logs = [MemoryTiles(leaf_hash(b"%d" % (n if n != differ or not log else -1)) for n in range(300)) for log in (0, 1)]
    small, large = min(one, other), max(one, other)
    heads = [
        sign_checkpoint(Checkpoint(OLD.name, size, root_from_tiles(tiles, size)), OLD)
        for tiles, size in zip(logs, (small, large), strict=True)
    ]
    root, proof = root_from_tiles(logs[1], small), consistency_proof(logs[1], small, large)
    data = fork.build(str(OLD.vkey), *heads, *((root, proof) if small < large else ()))
    if differ < small:
        assert fork.verify(data, str(OLD.vkey)).sizes == (small, large)
        return
    try:
        fork.verify(data)
    except VerificationError:
        return
    raise AssertionError


@given(st.binary(max_size=200))
def test_junk_is_no_evidence(data):
    for junk in (data, b'{"vitaledger-fork": 1, "vkey": ' + data):
        try:
            fork.verify(junk)
        except (MalformedError, VerificationError):
            continue
        raise AssertionError
