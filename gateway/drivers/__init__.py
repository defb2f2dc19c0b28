"""Drivers: one file a device protocol, sans-I/O. `api` says what a driver is; `load` finds them by entry point."""
