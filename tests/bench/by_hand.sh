#!/bin/bash
# by_hand.sh TASKS SLOTS FILES: what a person would write in place of agentjobs, in the repository of the current directory:
# worktree add, agent, check, commit; then merge one after the other, and remove. Nothing is tried again or kept.
set -euo pipefail
tasks=$1 slots=$2 files=$3

task() {
    tree=../trees/t$1 file=$(($1 * files / tasks))
    until git worktree add -q --detach "$tree" main 2>/dev/null; do sleep 0.05; done
    cd "$tree"
    echo y >>"src/d$((file / 100))/f$file.txt"
    true
    git add -A
    git commit -qm "t$1"
    git update-ref "refs/heads/t$1" HEAD
}
export -f task
export tasks files
seq 0 $((tasks - 1)) | xargs -P"$slots" -I{} bash -c 'task {}'
git checkout -q -b landed
for ((number = 0; number < tasks; number++)); do git merge -q --no-edit "t$number" >/dev/null; done
for ((number = 0; number < tasks; number++)); do git worktree remove --force "../trees/t$number"; done
