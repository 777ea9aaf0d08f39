"""One claim per file: STATEMENT, SOURCE, EXPECTED, check() and, for some, figure(finding); see validation/ledger.py."""
