# Runs one command in a sandbox: sh sandbox.sh BWRAP [ARGUMENT...]
#
# A polite signal to the group is for the command alone: were bubblewrap to die of it, the kernel would kill the command
# at once. So it is ignored here, and by bubblewrap, which inherits that; what bubblewrap starts first (`ENTER` of
# steps.py) puts the signals back, says so on descriptor 8, and becomes the command.
# Without that word the sandbox could not be made: 126, as of a command that cannot be executed.
trap '' HUP INT QUIT TERM USR1 USR2
exec 7>&1
agentjobs_entered=$("$@" 8>&1 1>&7 7>&-)
agentjobs_code=$?
if [ "$agentjobs_code" -ne 0 ] && [ -z "$agentjobs_entered" ]; then exit 126; fi
exit "$agentjobs_code"
