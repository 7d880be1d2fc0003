#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Short forms of tests of scale (tests/soak): 300 libraries, half of which come while it is recorded, and stacks that
are new at each sample.
"""
import os
import subprocess
import sys

import live

SOAK = os.path.join(live.TOP, "tests", "soak")
passed = True
for words in (["mappings.py", "300", "4"], ["stacks.py", "5", "2"]):
    sys.stdout.flush()
    child = subprocess.Popen([os.path.join(SOAK, words[0]), *words[1:]])
    try:
        passed &= child.wait(120) == 0
    except subprocess.TimeoutExpired:
        print("not ok - %s ends" % words[0])
        passed = False
        child.terminate()  # it stops what it has started
        child.wait()
sys.exit(0 if passed else 1)
