"""A scripted reviewer: what its runs do is the row's ``reviews`` cell, one word for each run of this reviewer on it.

``pass,reject``: its first run finds nothing, all later ones something severe. Each run writes a line to
``reviews.tsv`` beside the agents' ledger: task, reviewer, word, commit, what the prompt was.
"""

from __future__ import annotations

import json
import os
import sys
import time

WHO = sys.argv[1]
TASK = os.environ["AGENTJOBS_TASK"]
VERDICT = os.environ["AGENTJOBS_VERDICT"]
LEDGER = os.path.join(os.path.dirname(os.environ["FAKE_LEDGER"]), "reviews.tsv")
OUT = f"{TASK}.txt"
LONG_S = 600


def finding(severity: str = "high", trigger: str = "an empty input", **more: object) -> dict[str, object]:
    return {"file": OUT, "line": 1, "severity": severity, "trigger": trigger, "impact": "it breaks", **more}


def verdict(*findings: object) -> None:
    with open(VERDICT, "w") as file:
        json.dump({"findings": list(findings), "summary": f"{WHO} looked"}, file)


def final() -> None:
    print(json.dumps({"type": "result", "is_error": False, "cost": 0.5, "usage": {"input": 900, "output": 100}}))


def act(word: str, argument: str, number: int) -> int:
    if word == "pass":
        verdict(*([finding(argument)] if argument else []))
    elif word == "reject":
        verdict(finding(trigger=argument or f"trigger of {'abcdefgh'[number]}"))
    elif word == "same":
        verdict(finding(trigger=f"line {number}: always this"))
    elif word == "malformed":
        verdict({"file": OUT, "severity": "grave"})
    elif word == "elsewhere":
        verdict(finding(file="no/such/file"))
    elif word == "nothing":
        pass
    elif word == "crash":
        print("Error: it fell over", flush=True)
        return 1
    elif word == "limit":
        print(f"Error: usage limit reached, resets {argument}", flush=True)
        return 1
    elif word == "hang":
        time.sleep(LONG_S)
    elif word == "linger":
        verdict()
        final()
        sys.stdout.flush()
        time.sleep(LONG_S)
    elif word == "meddle":
        verdict()
        for name in (OUT, "README", "new.txt"):
            with open(name, "w") as file:
                file.write("meddled\n")
    else:
        raise SystemExit(f"no word {word!r}")
    final()
    return 0


def main() -> int:
    with open(LEDGER, "a+") as file:
        file.seek(0)
        lines = file.read().splitlines()
    number = sum(line.split("\t")[:2] == [TASK, WHO] for line in lines)
    words = (os.environ.get(f"AGENTJOBS_ROW_{WHO.upper()}") or "pass").split(",")
    word, _, argument = words[min(number, len(words) - 1)].partition(":")
    prompt = sys.stdin.read()
    with open(OUT) as file:
        fields = [TASK, WHO, word, os.environ["AGENTJOBS_COMMIT"], json.dumps(prompt), json.dumps(file.read())]
    with open(LEDGER, "a") as file:
        file.write("\t".join(fields) + "\n")
    return act(word, argument, number)


sys.exit(main())
