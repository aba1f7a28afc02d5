#!/usr/bin/env python3
"""Check, or with --write set, the README's table of operators.

usage: readme_operators.py SLM_INSPECT README.md [--write]
"""
import pathlib
import re
import subprocess
import sys

inspect, readme = sys.argv[1], pathlib.Path(sys.argv[2])
table = subprocess.run([inspect, "ops", "--markdown"], check=True,
                       capture_output=True, text=True).stdout
text = readme.read_text(encoding="utf-8")
marked = re.compile(r"(<!-- slm-inspect ops --markdown -->\n).*?(\n### )", re.S)
fresh = marked.sub(lambda m: m[1] + table + m[2], text)
if "--write" in sys.argv:
    readme.write_text(fresh, encoding="utf-8")
elif fresh != text:
    sys.exit("README.md: the table of operators is old; run this with --write")
