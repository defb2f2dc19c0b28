"""Every error that Vitaledger raises on purpose, by what the person who meets it can do.

    VitaledgerError
    ├── MalformedError       the bytes are not of the format (theirs: do not try again)
    ├── VerificationError    well formed, but not what it claims to be
    │   └── ForkError        two signed heads of one log that cannot both be true: keep both
    └── MisuseError          the caller asked for what cannot be (ours)

`exit_code` is what the command-line programs return: 1 verification failed, 2 malformed or misuse.
"""


class VitaledgerError(Exception):
    """The root of all errors raised on purpose."""

    exit_code = 2


class MalformedError(VitaledgerError, ValueError):
    """The bytes are not of the format: says where, what was found and what was expected."""


class VerificationError(VitaledgerError):
    """The bytes are well formed, and a signature, hash, proof or link in them does not hold."""

    exit_code = 1


class ForkError(VerificationError):
    """Two signed heads of one log that cannot both be true. Keep both: they are evidence."""


class MisuseError(VitaledgerError):
    """The caller asked for something that cannot be: an index outside the tree, an unknown device, a bad option."""
