"""``python -m validation [NAME…] [--json] [--report FILE.html]``: the ledger of claims."""

import sys

from validation.ledger import main

if __name__ == "__main__":
    sys.exit(main())
