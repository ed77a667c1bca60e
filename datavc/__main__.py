"""``python -m datavc``."""

from __future__ import annotations

import sys

from datavc.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
