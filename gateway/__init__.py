"""The agent on the edge: ports, drivers, recorder, store, uplink."""
