"""The provider ledger over HTTP."""
