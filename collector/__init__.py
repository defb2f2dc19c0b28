"""The provider's side: ingest, mirrors, ledger, receipts, history."""
