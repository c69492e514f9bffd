# The supervisor of one step, as small as a process can be:
#
#   sh runner.sh PREFIX DIR BLOCKS BOOT UMASK COMMAND [ARGUMENT...]
#
# Writes PREFIX.json (who runs), runs COMMAND in DIR with files of at most BLOCKS * 512 bytes, made under UMASK, writes
# PREFIX.exit.json (how it ended); both are for the owner alone. stdin is the command's; stdout is the log; descriptor 9
# is the lock, which nobody but this process holds, until the exit is written: a held lock means "running" whatever the
# pids say.
# POSIX sh, no variable of a short name: one that the environment exports would reach the command changed.

{ # read to the end before anything runs: the file may be replaced by an upgrade while the command runs

# A handler, not "ignore": the command starts with the default action, and a signal sent to the group ends the command
# while its status is still written here.
trap : HUP INT QUIT TERM USR1 USR2

agentjobs_record() {
    agentjobs_stat=
    if [ -r "/proc/$$/stat" ]; then read -r agentjobs_stat <"/proc/$$/stat"; fi
    # After the name in parentheses, field 22 of proc(5) (start time in ticks) is the 20th: a pid alone proves nothing.
    # shellcheck disable=SC2086 # the fields are numbers, to be split
    set -- "$1" "$4" ${agentjobs_stat##*) }
    printf '{"pid":%d,"start":"%s","boot":"%s","mark":"%s"}\n' "$$" "${22-}" "$2" "$AGENTJOBS_MARK" >"$1.json"
}

agentjobs_command() (
    exec 9>&- 2>&1
    cd -- "$2" || exit 126
    umask "$5"
    shift 5
    exec "$@" # in a separate process: "exit" and "test" are programs here, or not found, never this shell's words
)

umask 077

# No record, no command: what nobody can find again must not run.
agentjobs_record "$@" || exit 125
ulimit -f "$3" 2>/dev/null || : # refused only where a lower limit is already in force

exec 2>/dev/null # some shells would add "Killed" to the log, which holds exactly what the command said
agentjobs_command "$@"

# No rename, which would cost a process: nobody reads this before the lock is free, and what is not whole JSON by then
# (a full disk) counts as not written.
printf '{"code":%d}\n' "$?" >"$1.exit.json"
exit
}
