"""``python -m cli``: the same as ``baray``."""

import sys

from cli.main import main

sys.exit(main())
