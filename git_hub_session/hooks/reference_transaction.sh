#!/bin/sh
# git hub-session hook
# Refuse a transaction after which no ref keeps a commit of a branch below refs/heads/hub/. Then run
# the hook that was here before. 'git hub-session hooks uninstall' restores it.

# Succeed if only the file of the ref is deleted, because packed-refs has the ref: `git pack-refs` does
# so. A command that deletes the ref itself has locked packed-refs.
is_packed() {
	packed=$(git rev-parse --git-path packed-refs) && test ! -e "$packed.lock" &&
		grep -qx "$old $ref" "$packed" 2>/dev/null
}

# Set old_values to the commits of the changed branches, new_values to the commits that the
# transaction keeps, and changed to options that exclude the changed refs.
read_transaction() {
	old_values= new_values= changed= unknown= branches=
	while read -r old new ref; do
		case $ref in
		refs/bisect/* | refs/rewritten/* | refs/worktree/*) continue ;; # keeps nothing: git deletes it
		refs/*) ;;
		*) continue ;; # a HEAD keeps nothing
		esac
		case $new in
		ref:*) ;; # a symbolic ref keeps nothing
		*[!0]*) new_values="$new_values $new" ;;
		*) is_packed && continue ;;
		esac
		changed="$changed --exclude=$ref"
		case $ref in
		refs/heads/hub/*) branches="$branches '${ref#refs/heads/}'" ;;
		*) continue ;;
		esac
		# The old value is zero for a new branch, and if the caller does not know the value.
		case $old in
		*[!0]*) old_values="$old_values $old" ;;
		*) unknown="$unknown $ref" ;;
		esac
	done <<END
$input
END
	if test -n "$unknown"; then
		old_values="$old_values $(git for-each-ref --format='%(objectname)' $unknown)"
	fi
}

# Print one of the old commits that the given commits and refs do not reach.
rev_list() {
	git --no-replace-objects rev-list --max-count=1 --ignore-missing $old_values \
		--not $new_values "$@"
}

# Print one of the old commits that no ref keeps after the transaction. A symbolic ref keeps nothing.
find_lost_commit() {
	lost=$(rev_list) || return 1
	test -n "$lost" || return 0 # the usual case: the branches grow
	symbolic=$(git for-each-ref --format='%(if)%(symref)%(then)--exclude=%(refname)%(end)') &&
		rev_list $changed $symbolic --exclude='refs/bisect/*' --exclude='refs/rewritten/*' \
			--exclude='refs/worktree/*' --glob='refs/*'
}

check_branches() {
	set -f
	read_transaction
	case $old_values in
	*[!\ ]*) ;;
	*) return 0 ;;
	esac
	if ! lost=$(find_lost_commit); then
		echo "error: cannot find the commits that$branches would lose" >&2
	elif test -n "$lost"; then
		echo "error: no other ref keeps commit $lost of$branches" >&2
		echo "hint: make a new commit, because the branch of an attempt only grows" >&2
		echo "hint: keep the commit before you rename or delete the branch: git branch <name> $lost" >&2
	else
		return 0
	fi
	echo "hint: git hub-session hooks uninstall" >&2
	return 1
}

former=${0%/*}/reference-transaction.before-hub-session
if test "$1" != prepared; then
	test -x "$former" || exit 0
	exec "$former" "$@"
fi
input=$(cat)
case $GIT_HUB_SESSION_GUARD$input in
off*) ;;
*" refs/heads/hub/"*) (check_branches) || exit 1 ;;
esac
test -x "$former" || exit 0
printf '%s\n' "$input" 2>/dev/null | "$former" "$@"
