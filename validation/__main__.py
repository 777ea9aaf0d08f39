"""``python -m validation [NAME…] [--json] [--report FILE.html]``: the ledger of claims."""

if __name__ == "__main__":  # what processes that examine claims do not import
    import sys

    from validation.ledger import main

    sys.exit(main())
