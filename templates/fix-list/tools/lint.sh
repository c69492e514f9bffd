#!/bin/sh
# Runs the linter; only this file names it. Call it in the directory to check: sh tools/lint.sh [FILE...]
# Without a FILE: all of it. Exit 0: nothing found; 1: findings; anything else: it could not run, and all work is rejected.
tools=$(dirname "$0")

exec python3 "$tools/lint.py" "$@"

# Or replace that line with one of these; tools/findings.py reads what they print:
#   exec ruff check --output-format concise --no-cache "$@"
#   exec flake8 "$@"
#   exec mypy --no-error-summary "${@:-.}"
#   exec npx eslint "${@:-.}"
#   exec npx tsc --noEmit --pretty false -p .
#   exec python3 -m pytest -q -rfE --no-header --tb=no "$@"
