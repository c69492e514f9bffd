#!/bin/sh
# A real migration from beginning to end: date-fns 0.13.0, 29 modules of 2014, to TypeScript.
#
#     sh templates/js-to-ts/demo.sh        or: make demo
#
# Needs node 20, npm, git and agentjobs. Of the network it uses the npm registry alone; no model is asked.
# DEMO_DIR: where it happens (default: .cache/demo). AGENTJOBS: the command to run (default: the checkout's, or PATH).
set -eu

PACKAGE=date-fns VERSION=0.13.0
SHA512=a9b015bcd93193afa175ccde16150b831127d11176a3b3d885d046d69ba3c4aa3bea8e4bafa1f9fb6f03ef549903af47c6dae9bb4e8646c99a04ad395f73f83b
MOCHA=10.8.2 CHAI=4.5.0 SINON=19.0.5

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
fail() { printf 'demo: %s\n' "$*" >&2; exit 1; }

# --- what it needs -------------------------------------------------------------------------------------------
repo_dir=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd)
demo_dir=${DEMO_DIR:-$repo_dir/.cache/demo}
mark=.agentjobs-demo

command -v git >/dev/null || fail "git is not installed"
command -v node >/dev/null || fail "node is not installed; version 20 or later is needed"
command -v npm >/dev/null || fail "npm is not installed; it comes with node"
node -e 'process.exit(Number(process.versions.node.split(".")[0]) < 20 ? 1 : 0)' || fail "node $(node --version) is too old; 20 is needed"
if [ -z "${AGENTJOBS:-}" ]; then
    if [ -x "$repo_dir/.venv/bin/agentjobs" ]; then AGENTJOBS=$repo_dir/.venv/bin/agentjobs
    else AGENTJOBS=$(command -v agentjobs) || fail "agentjobs is not installed; run: make setup"
    fi
fi
agentjobs() { "$AGENTJOBS" "$@"; }
agentjobs --version >/dev/null 2>&1 || fail "$AGENTJOBS does not run; it needs Python 3.11 or later"

# --- a repository out of the published package ----------------------------------------------------------------
if [ -e "$demo_dir" ]; then
    [ -e "$demo_dir/$mark" ] || fail "$demo_dir is there already and not from an earlier demo; set DEMO_DIR to another place"
    (cd "$demo_dir/project" 2>/dev/null && agentjobs stop >/dev/null 2>&1) || :
    rm -rf -- "$demo_dir"
fi
mkdir -p "$demo_dir/project"
demo_dir=$(CDPATH='' cd -- "$demo_dir" && pwd)
: >"$demo_dir/$mark"
quiet="--silent --no-audit --no-fund --no-package-lock --ignore-scripts"

say "1. $PACKAGE $VERSION from the npm registry becomes a git repository"
cd "$demo_dir"
npm pack --silent "$PACKAGE@$VERSION" >/dev/null || fail "npm cannot reach its registry"
node -e '
  const sum = require("crypto").createHash("sha512").update(require("fs").readFileSync(process.argv[1])).digest("hex");
  process.exit(sum === process.argv[2] ? 0 : 1);
' "$PACKAGE-$VERSION.tgz" "$SHA512" || fail "the package is not the one this demo was made for"
tar -xzf "$PACKAGE-$VERSION.tgz" -C project --strip-components 1
cd project

# Its tests ran in a browser that is long gone; mocha, chai and sinon are the same, without it. The tests stay as they are.
npm pkg delete devDependencies scripts
npm pkg set "devDependencies.mocha=$MOCHA" "devDependencies.chai=$CHAI" "devDependencies.sinon=$SINON" \
    'scripts.test=mocha --reporter dot --require chai/register-expect.js --require ./test/globals.js src/__tests__'
mkdir test
echo "global.sinon = require('sinon');" >test/globals.js
printf '%s\n' node_modules .agentjobs/ >.gitignore
# shellcheck disable=SC2086 # several options
npm install $quiet || fail "npm could not install mocha, chai and sinon"
git init --quiet --initial-branch=main .
git config user.name demo
git config user.email demo@localhost
git config commit.gpgsign false
git add --all
git commit --quiet --message "$PACKAGE $VERSION as published"
npm test --silent || fail "the package's own tests do not pass before anything is converted"

say "2. agentjobs init js-to-ts"
agentjobs init js-to-ts
# shellcheck disable=SC2086
npm install $quiet --prefix tools || fail "npm could not install the pinned compiler"

say "3. one task a module: node tools/plan.mjs | agentjobs plan rows"
node tools/plan.mjs | agentjobs plan rows
agentjobs check

say "4. the loop"
set +e
agentjobs dispatch || exit 1
while :; do agentjobs poll --wait 60; code=$?; case $code in 0) ;; *) break ;; esac; done
set -e

# --- what came of it -----------------------------------------------------------------------------------------
say "5. the loop ended with exit $code (2: nothing is left to do)"
agentjobs status || :
say "6. tasks.tsv"
grep -v '^#' tasks.tsv | cut -f 1,2,4- | column -t -s "$(printf '\t')" 2>/dev/null || cat tasks.tsv
say "7. git diff --stat main agentjobs/landed"
git --no-pager diff --stat -M30% main agentjobs/landed
say "8. what layer 2 mended: agentjobs show src.format"
agentjobs show src.format || :
say "It is all in $demo_dir/project: git log agentjobs/landed, agentjobs show ID, agentjobs logs ID"
[ "$code" -eq 2 ] || exit 1
agentjobs status --check
