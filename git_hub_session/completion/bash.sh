# bash completion for `git hub-session`. git's own completion calls _git_hub_session. It loads this
# file from <prefix>/share/bash-completion/completions/git-hub-session.

_git_hub_session ()
{
	local start=${__git_cmd_idx:-1} # git sets __git_cmd_idx since 2.31
	while [ "${words[start]}" != hub-session ] && [ -z "${__git_cmd_idx-}" ] && [ $start -lt $cword ]; do
		((start++))
	done
	__git_hub_session_complete __git hub-session -- "${words[@]:start+1:cword-start}"
}

# Usage: __git_hub_session_complete <program...> -- <words>. The last word is completed.
__git_hub_session_complete ()
{
	local -a program=()
	local line kind= word prefix=
	while [ "$1" != -- ]; do
		program+=("$1")
		shift
	done
	# bash takes "=" for the end of a word, so it inserts only the text after it.
	[[ $cur == --*=* ]] && prefix=${cur%%=*}=
	COMPREPLY=()
	while IFS= read -r line; do
		if [ -z "$kind" ]; then
			kind=$line
			continue
		fi
		word=${line%%$'\t'*}
		word=${word#"$prefix"}
		[[ $word == *= ]] || word+=' '
		COMPREPLY+=("$word")
	done < <("${program[@]}" completion --words "$@" 2>/dev/null)
	if [ "$kind" = command ] && declare -F _command_offset >/dev/null; then
		local offset=0
		while [ "${COMP_WORDS[offset]}" != -- ]; do
			((offset++))
		done
		_command_offset $((offset + 1))
	fi
}

# `git-hub-session`, the program itself.
_git_hub_session_program ()
{
	local cur words cword
	cur=${COMP_WORDS[COMP_CWORD]} words=("${COMP_WORDS[@]}") cword=$COMP_CWORD
	declare -F _get_comp_words_by_ref >/dev/null && _get_comp_words_by_ref -n =: cur words cword
	__git_hub_session_complete git-hub-session -- "${words[@]:1:cword}"
}
complete -o bashdefault -o default -o nospace -F _git_hub_session_program git-hub-session
