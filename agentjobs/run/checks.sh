# The checks of one attempt, one after the other until one fails: sh checks.sh PREFIX
#
# PREFIX.1.check, PREFIX.2.check … are shell scripts, each with one command of agentjobs.toml.
# PREFIX.at names the one that runs, so that afterwards nobody has to guess from the log.
agentjobs_at=1
while [ -f "$1.$agentjobs_at.check" ]; do
    (umask 077 && printf '%d\n' "$agentjobs_at" >"$1.at") || exit 125
    printf '==> check %d: ' "$agentjobs_at"
    cat -- "$1.$agentjobs_at.check"
    sh -- "$1.$agentjobs_at.check" </dev/null || exit "$?"
    agentjobs_at=$((agentjobs_at + 1))
done
