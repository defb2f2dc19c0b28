"""The process that verifies what the pages show, beside the one that takes in.

    client      its other end, in the web's event loop: `Checker.ask` and `Checker.one`
    __main__    the process: asks come in by lines, answers go out by frames; jobs take turns
    desk        the store as it stands, verified; blocks that were verified and are kept
    chart       the parts of a chart, newest first
    table, rows, files      what the other pages are made of, and exported files
    patrol      verifies the last 30 days again and again, so that the overview knows what does not hold

Verifying is work for a processor: in the collector's own process it would hold up the ledger.
"""
