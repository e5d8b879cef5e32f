# Move a checked-out branch together with its files and its index, or change nothing.
#
# Usage: move_branch.sh <git dir> <ref> <new commit> <old commit>
#
# The exit status is 3 if some files are updated, and the caller must undo the update.
#
# The script runs in the worktree of the git dir. Standard input and output belong to a
# `git update-ref --stdin` that has locked the ref and HEAD, and waits for "commit".
#
# The script holds index.lock as git does, so no `git commit` can begin in the meantime. It replaces
# the index before the branch moves. `git commit` reads the branch first: in the other order, it
# could read the new branch and the old index, and revert the merge.

git_dir=$1 ref=$2 new=$3 old=$4 index=$git_dir/index next=$git_dir/hub-session-merge.tmp

for try in 1 2 3 4 5 6 7 8 9 10; do # another git process may hold the lock for a moment
	(set -C && : >"$index.lock") 2>/dev/null && break
	test $try != 10 || {
		echo "cannot create '$index.lock': File exists; another git process is running, or crashed:" \
			"in that case, remove the file manually to continue" >&2
		exit 1
	}
	sleep 0.01
done
# Do not end at SIGPIPE: if git update-ref or the program itself is killed, the script must still
# undo the update of the files.
trap : PIPE
trap 'rm -f "$next" "$next.lock" "$index.lock"' EXIT
test ! -e "$next.lock" || rm "$next.lock" # left by a merge that was killed

read -r head <"$git_dir/HEAD"
test "$head" = "ref: $ref" || {
	echo "HEAD is on another branch" >&2
	exit 1
}

# Update the files and the index from the commit $1 to the commit $2. Return $incomplete if git could
# not write a file, but may have written others. With the errors in $refused, git has written nothing.
# For git, a file with a new modification time has changed until `git update-index` compares the
# content. Compare only after such an error: the comparison is slow if there are many files.
incomplete=3
refused="^error: \(Entry\|Untracked working tree file\|Updating\) '"
# As in git_hub_session/git/environment.py, use no object that an agent has replaced.
export GIT_INDEX_FILE="$next" GIT_NO_REPLACE_OBJECTS=1 GIT_GRAFT_FILE=/dev/null/none
update_files() {
	# git replaces an index and never writes into it. So a hard link is as good as a copy.
	test ! -e "$index" || ln -fL "$index" "$next" 2>/dev/null || cp -p "$index" "$next" || return
	if errors=$(git read-tree -m -u --no-recurse-submodules "$1" "$2" 2>&1); then
		test -z "$errors" || printf '%s\n' "$errors" >&2
	elif printf '%s\n' "$errors" | grep "$refused" >/dev/null; then
		git update-index -q --refresh >/dev/null
		git read-tree -n -m -u --no-recurse-submodules "$1" "$2" || return
		git read-tree -m -u --no-recurse-submodules "$1" "$2" || return $incomplete
	else
		printf '%s\n' "$errors" >&2
		return $incomplete
	fi
	mv -f "$next" "$index" || return $incomplete
}

update_files "$old" "$new" </dev/null >/dev/null || exit
printf 'commit\0' 2>/dev/null || echo "git was killed before it moved the branch" >&2
while read -r answer; do
	test "$answer" != "commit: ok" || exit 0
	echo "$answer" >&2
done
# git update-ref may have been killed after it moved the branch.
test "$(git rev-parse --verify --quiet "$ref" </dev/null)" = "$new" && exit
update_files "$new" "$old" </dev/null >/dev/null || exit $incomplete
exit 1
