"""Plan the phase `evaluate`: print a row for each segment with findings. Stdin has the tasks of the phase before."""

from __future__ import annotations

import json
import sys
from pathlib import Path


def main() -> int:
    """Print the rows; return the exit code."""
    for line in sys.stdin:
        task = json.loads(line)
        if task["status"] != "DONE":
            continue
        segment = json.loads(Path(task["output"]).read_text(encoding="utf-8"))
        if segment["findings"]:
            row = {"id": f"judge-{task['id']}", "segment": task["output"], "module": segment["module"]}
            files = dict.fromkeys(finding["file"] for finding in segment["findings"])
            print(json.dumps({**row, "docs": " ".join(files)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
