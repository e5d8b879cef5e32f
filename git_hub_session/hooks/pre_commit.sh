#!/bin/sh
# git hub-session hook
# Refuse a commit in the worktree of a finished session. Then run the hook that was here before.
# 'git hub-session hooks uninstall' restores it.

former=${0%/*}/pre-commit.before-hub-session
branch=$(git symbolic-ref -q HEAD)
case $branch in
refs/heads/hub/*/*)
	id=${branch#refs/heads/hub/}
	id=${id%%/*}
	# Without the program, or outside of its hub, the commit is allowed.
	finished=$(git hub-session list --state merged --state archived --format=porcelain 2>/dev/null)
	case "
$finished
" in
	*"
session_id $id
"*)
		echo "error: session '$id' is finished, and gets no more commits" >&2
		echo "hint: git hub-session init --task <text>" >&2
		exit 1
		;;
	esac
	;;
esac
test -x "$former" || exit 0
exec "$former" "$@"
