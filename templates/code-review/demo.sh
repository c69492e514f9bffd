#!/bin/sh
# Review a real package from beginning to end, with a script instead of a model: sh demo.sh click, or: make review PKG=click
#
# Needs Python with pip, git and agentjobs on PATH. Uses the network only for the package registry.
# REVIEW_DIR: the directory to work in (default: .cache/review/PACKAGE). PACKAGE may contain a version: click==8.1.7
set -eu

package=${1:?usage: demo.sh PACKAGE}
say() { printf '\n\033[1m%s\033[0m\n' "$*"; }

directory=${REVIEW_DIR:-.cache/review/$(printf %s "$package" | tr -c 'A-Za-z0-9.\n' -)}
rm -rf "$directory"
mkdir -p "$directory/wheel" "$directory/project"

say "1. the source of $package"
python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: --dest "$directory/wheel" "$package"
python3 -m zipfile -e "$directory"/wheel/*.whl "$directory/project"
cd "$directory/project"
git init -q -b main
git add --all
git -c user.name=review -c user.email=review@localhost commit -q -m "$package"
python3 -c 'import sys; files = [f for f in sys.argv[1:] if f.endswith(".py")]
print(len(files), "files,", sum(len(open(f, "rb").readlines()) for f in files), "lines of Python")' $(git ls-files)

say "2. agentjobs init code-review"
agentjobs init code-review
agentjobs check

say "3. agentjobs dispatch, and the loop"
began=$(date +%s)
agentjobs dispatch
code=0
while :; do
    agentjobs poll --wait 60 || code=$?
    case $code in 0) ;; 2) break ;; *) exit 1 ;; esac
done
echo "took $(($(date +%s) - began)) s"
agentjobs status

say "4. the results"
awk -F'\t' '/^id\t/ { for (i = 1; i <= NF; i++) at[$i] = i; next } !/^#/ { n[$at["profile"] " " $at["status"]]++ }
    END { for (what in n) print n[what], what }' tasks.tsv | sort -k2
sed -n '3,10p' report.md
grep '^### ' report.md | sed 's/^### [^ ]* *//' | sed 's/of [a-z_A-Z0-9]*()/of f()/; s/^[A-Za-z_0-9]*() has [0-9]* lines/a long function/' |
    sort | uniq -c | sort -rn | head -12
say "Everything is in $(pwd): report.md, segments/, judged/, agentjobs show ID"
agentjobs status --check
