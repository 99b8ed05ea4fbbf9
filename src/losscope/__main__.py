"""``python -m losscope`` is the same as ``losscope``."""

import sys

from losscope.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
