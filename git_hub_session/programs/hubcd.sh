# hubcd [<id>] <agent>: change to the worktree of an agent, in bash and zsh.
hubcd ()
{
	local directory
	directory=$(git hub-session path "$@") || return
	cd -- "$directory"
}
