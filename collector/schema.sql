-- The collector's store: one SQLite file, WAL, synchronous=FULL, one writer. `log` 0 is the provider ledger itself,
-- 1 and on are gateways' logs. What is derived is recomputed by `vitaledger-collector verify`; nothing here is
-- believed because it stands here.

CREATE TABLE meta (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;  -- schema version, provider, ledger vkey

CREATE TABLE logs (
    log        INTEGER PRIMARY KEY,
    gateway    TEXT    NOT NULL,
    origin     TEXT    NOT NULL UNIQUE,
    vkey       TEXT    NOT NULL,
    enrolled   INTEGER NOT NULL,            -- index of the enrolment (or succession) statement in the ledger
    witnessed  INTEGER NOT NULL DEFAULT 0,  -- size last cosigned
    checkpoint BLOB,                        -- the note of that size, verbatim
    stored     INTEGER NOT NULL DEFAULT 0,  -- entries [0, stored) are here
    custody    INTEGER                      -- index of the newest custody statement in the ledger
);

-- A gateway's entries. id = log * 2^40 + index
CREATE TABLE entries (id INTEGER PRIMARY KEY, leaf BLOB NOT NULL, body BLOB NOT NULL);

-- Entries stored ahead of a hole: [first, last + 1) beyond logs.stored; at most 8 a log
CREATE TABLE ranges (log INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL, PRIMARY KEY (log, first))
WITHOUT ROWID;

-- Full tiles of every log: 256 hashes of 32 bytes
CREATE TABLE tiles (
    log INTEGER NOT NULL, level INTEGER NOT NULL, n INTEGER NOT NULL, hashes BLOB NOT NULL,
    PRIMARY KEY (log, level, n)
) WITHOUT ROWID;

-- Where the entries of a micro-chain stand, for entries below logs.stored that could be read
CREATE TABLE chains (
    chain INTEGER PRIMARY KEY, log INTEGER NOT NULL, name TEXT NOT NULL,
    next_seq INTEGER NOT NULL, last BLOB NOT NULL,  -- head of the chain: seq and leaf hash
    broken INTEGER,                                 -- index of the first entry that breaks it, completeness ends there
    UNIQUE (log, name)
);
CREATE TABLE positions (
    chain INTEGER NOT NULL, seq INTEGER NOT NULL, idx INTEGER NOT NULL, wall_ms INTEGER NOT NULL,
    PRIMARY KEY (chain, seq)
) WITHOUT ROWID;

-- The provider ledger
CREATE TABLE statements (idx INTEGER PRIMARY KEY, leaf BLOB NOT NULL);
CREATE TABLE ledger (
    id INTEGER PRIMARY KEY CHECK (id = 1), size INTEGER NOT NULL, root BLOB NOT NULL, checkpoint BLOB NOT NULL
);
-- Which statement holds the anchor of which size, and which one the finding about which entry
CREATE TABLE anchors (log INTEGER NOT NULL, size INTEGER NOT NULL, statement INTEGER NOT NULL, PRIMARY KEY (log, size))
WITHOUT ROWID;
CREATE TABLE findings (log INTEGER NOT NULL, idx INTEGER NOT NULL, statement INTEGER NOT NULL, PRIMARY KEY (log, idx))
WITHOUT ROWID;

-- What was refused, newest kept (bounded); never part of any proof
CREATE TABLE refusals (
    id INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, gateway TEXT NOT NULL, topic TEXT NOT NULL,
    status INTEGER NOT NULL, reason TEXT NOT NULL, message BLOB NOT NULL
);
-- Retained status and health of gateways, as they came last; a claim, not proven
CREATE TABLE presence (gateway TEXT PRIMARY KEY, at_ms INTEGER NOT NULL, status BLOB, health BLOB) WITHOUT ROWID;

-- schema 2: copies and rollbacks
-- Two signed heads of one log that cannot both be true (vitaledger.fork); never pruned
CREATE TABLE forks (
    id INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, log INTEGER NOT NULL,
    size INTEGER NOT NULL, root BLOB NOT NULL,  -- of the head that contradicts what was witnessed
    evidence BLOB NOT NULL,                     -- the file that proves it
    message BLOB NOT NULL,                      -- the request that it came in, verbatim
    UNIQUE (log, size, root)
);
-- Successions that gateways asked for: the first of a log is taken, others wait for the operator
CREATE TABLE successions (
    id INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, log INTEGER NOT NULL,  -- the log that ends
    origin TEXT NOT NULL, vkey TEXT NOT NULL UNIQUE, note BLOB NOT NULL,   -- the one that goes on
    state TEXT NOT NULL,                                                   -- taken, waiting or refused
    statement INTEGER                                                      -- where taken: in the ledger
);
-- Which statement states which loss
CREATE TABLE losses (
    statement INTEGER PRIMARY KEY, log INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL
);
-- Entries of other logs that a log carries over: recomputed by `verify`
CREATE TABLE carried (
    log INTEGER NOT NULL, idx INTEGER NOT NULL,                            -- the entry that carries
    origin TEXT NOT NULL, at INTEGER NOT NULL,                             -- what it carries: index in that log
    chain TEXT NOT NULL, seq INTEGER NOT NULL, wall_ms INTEGER NOT NULL,
    PRIMARY KEY (log, idx)
) WITHOUT ROWID;
CREATE INDEX carried_by_chain ON carried (chain, origin, seq);

-- schema 3: what an interval holds beside what bisection finds, without reading the whole micro-chain
CREATE INDEX positions_by_time ON positions (chain, wall_ms);

-- schema 4: a collector that was restored
-- What gateways showed of this ledger that this store does not contain: it is an old copy, and signs no more
CREATE TABLE halted (id INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, gateway TEXT NOT NULL, shown BLOB NOT NULL);

-- schema 5: the right edge of a tree costs the same in a log of any age
-- The root of each full tile whose tile above is not full: its hash in that one
CREATE TABLE edge (
    log INTEGER NOT NULL, level INTEGER NOT NULL, n INTEGER NOT NULL, root BLOB NOT NULL,
    PRIMARY KEY (log, level, n)
) WITHOUT ROWID;
