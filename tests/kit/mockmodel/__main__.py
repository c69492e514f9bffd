"""``python -m tests.kit.mockmodel --script FILE [--log FILE] [--port N]``: print the address, then serve."""

from __future__ import annotations

import argparse
import contextlib
import json
from pathlib import Path

from tests.kit.mockmodel import MockModel

parser = argparse.ArgumentParser(prog="python -m tests.kit.mockmodel")
parser.add_argument("--script", type=Path, required=True, help="a JSON list of steps")
parser.add_argument("--log", type=Path, help="where each request is written, one JSON line each")
parser.add_argument("--port", type=int, default=0)
options = parser.parse_args()
with MockModel(json.loads(options.script.read_text()), options.log, options.port) as model:
    print(model.address, flush=True)
    with contextlib.suppress(KeyboardInterrupt):
        model.stopping.wait()
