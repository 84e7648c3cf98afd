#!/usr/bin/env python3
"""compile_commands.py COMMAND FILE...: what editors and clang's tools want to know of how files are compiled."""

import json
import os
import sys

command, files = sys.argv[1], sys.argv[2:]
json.dump([{"directory": os.getcwd(), "file": f, "command": f"{command} -c {f}"} for f in files], sys.stdout, indent=1)
