"""``python -m tests.permissions FILE`` writes the page of the permission matrix. A test holds the page to it."""

import sys
from pathlib import Path

import api.http.app
from api.http.matrix import page

assert api.http.app, "all routes are declared where it is imported"

if __name__ == "__main__":
    Path(sys.argv[1]).write_text(page(), encoding="utf-8")
