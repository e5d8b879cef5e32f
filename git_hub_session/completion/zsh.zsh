#compdef git-hub-session
#description run tournaments of coding agents
# zsh completion for `git hub-session`. Save it as _git-hub-session in a directory of $fpath.

_git-hub-session ()
{
	local line kind= word entry
	local -a descriptions options
	while IFS= read -r line; do
		if [[ -z $kind ]]; then
			kind=$line
			continue
		fi
		word=${line%%$'\t'*}
		entry=${word//:/\\:}
		[[ $line == $word ]] || entry+=:${line#*$'\t'}
		if [[ $word == *= ]]; then
			options+=("$entry")
		else
			descriptions+=("$entry")
		fi
	done < <(command git hub-session completion --words -- "${(@Q)words[2,CURRENT]}" 2>/dev/null)
	case $kind in
	files) _files ;;
	command)
		words=("${words[@]:${words[(i)--]}}")
		((CURRENT = $#words))
		_normal
		;;
	*)
		local ret=1
		(($#options)) && _describe -t options option options -S '' && ret=0
		(($#descriptions)) && _describe -t values value descriptions && ret=0
		return ret
		;;
	esac
}

# zsh calls the file itself if the function is not loaded yet.
[[ $funcstack[1] != _git-hub-session ]] || _git-hub-session "$@"
