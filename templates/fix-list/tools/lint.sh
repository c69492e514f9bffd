#!/bin/sh
# The linter, and the only place that names it: sh tools/lint.sh [FILE...], in the directory that is to be looked at.
# Without a FILE: all of it. Exit 0: nothing found; 1: findings; anything else: it could not run, and no work is taken.
tools=$(dirname "$0")

exec python3 "$tools/lint.py" "$@"

# Instead of that line one of these; tools/findings.py reads what they print:
#   exec ruff check --output-format concise --no-cache "$@"
#   exec flake8 "$@"
#   exec mypy --no-error-summary "${@:-.}"
#   exec npx eslint "${@:-.}"
#   exec npx tsc --noEmit --pretty false -p .
#   exec python3 -m pytest -q -rfE --no-header --tb=no "$@"
