# Start a worker in a clone at the far end of a connection, end the workers of a session, or create a
# bare repository.
#
# The caller writes this script to the standard input of `sh -s`, after lines that set the variables
# action, directory, evaluation, slot, path, clone, url, setup, git_settings, version, build, command_line,
# wheel_name and wheel, and the positional parameters: the command of the worker. The variable command_line
# has the same command. The worker has its own session and writes to a file, so it goes on if the connection
# is lost. The output of the worker goes to standard output.
# Lines to the caller go to standard error: an agent cannot write them.
#
# With the action `run`, the script is a job of a batch system. The worker runs in the foreground,
# and everything goes to a log. The variables here, jobs and jobs_id name the clone of the caller and
# its directory for logs. They are used if this machine sees that directory.
#
# The script is one compound command: sh reads all of it before it runs anything, so standard input
# is free. Its end means that the caller has gone.
{
	# echo of some shells interprets a backslash.
	tell() { printf 'hub-session: %s\n' "$*" >&2; }
	# Find the program of the user, or the installed one. With --bootstrap the latter must have $build.
	require_program() {
		command -v git-hub-session >/dev/null && return
		is_installed && PATH=$PATH:$program/bin && return
		[ "$wheel" ] || {
			tell missing
			exit 1
		}
		install_program
		PATH=$PATH:$program/bin
	}
	is_installed() {
		[ -x "$program/bin/python" ] && { [ ! "$build" ] || [ "$(cat "$program/build" 2>/dev/null)" = "$build" ]; }
	}
	find_python() {
		for python in python3 python3.14 python3.13 python3.12 python3.11; do
			"$python" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && return
		done
		tell missing python
		exit 1
	}
	# Install the wheel in a venv, which cannot be renamed. The link points to the last complete venv. A
	# worker goes on with the venv with which it has started.
	install_program() {
		find_python
		mkdir -p "${program%/*}" && new=$(mktemp -d "$program.XXXXXX") || exit
		trap 'rm -rf "$new"' EXIT
		echo "installing git hub-session $version in $new" >&2
		"$python" -m venv --system-site-packages "$new" </dev/null >&2 &&
			printf %s "$wheel" | "$python" -c \
				'import base64, sys; sys.stdout.buffer.write(base64.b64decode(sys.stdin.read()))' >"$new/$wheel_name" &&
			"$new/bin/python" -m pip install --quiet --disable-pip-version-check "$new/$wheel_name" </dev/null >&2 || {
			tell failed bootstrap
			exit 1
		}
		rm "$new/$wheel_name"
		printf %s "$build" >"$new/build"
		if is_installed || ! { rm -f "$program" && ln -sn "${new##*/}" "$program" 2>/dev/null; }; then
			rm -rf "$new" # another connection was faster
		fi
		trap - EXIT
	}
	# Print the start time of a process. Another process may get its id later.
	start_of() {
		if [ -e /proc/self/stat ]; then
			sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d ' ' -f 20
		else
			ps -o lstart= -p "$1"
		fi
	}
	# Set pid, and return 0 if the worker of the files with the prefix $1 is running.
	is_running() {
		pid='' started=''
		[ ! -e "$1.status" ] && read -r pid started 2>/dev/null <"$1.pid" || return 1
		[ "$started" ] && [ "$(start_of "$pid")" = "$started" ]
	}
	# Two calls must not start the same worker. The lock ends with this shell, also if it is killed.
	lock_worker() {
		exec 9>>"$files.lock"
		try_lock -n || {
			echo "waiting for another call that starts worker $slot" >&2
			try_lock
		}
	}
	# A system can have only perl. If it has neither program, nothing is locked.
	try_lock() {
		if command -v flock >/dev/null; then
			flock "$@" 9
		elif command -v perl >/dev/null; then
			perl -e 'open(F, ">>&=9") && flock(F, @ARGV ? 6 : 2) or exit 1' -- "$@"
		fi
	}
	# Create a bare repository at $path. Its HEAD is the branch $1.
	create_repository() {
		mkdir -p "${path%/*}" && git init -q --bare "$path" >&2 && git -C "$path" symbolic-ref HEAD "refs/heads/$1" || {
			tell failed repository
			exit 1
		}
		tell created
		exit 0
	}
	create_clone() {
		new=$path.$$.$host
		trap 'rm -rf "$new"' EXIT
		mkdir -p "${path%/*}" && git clone -q -o origin -- "$url" "$new" </dev/null >&2 || {
			tell failed clone
			exit 1
		}
		mkdir "$new/.git/hub-session-workers"
		: >"$new/.git/hub-session-workers/created"
		rmdir "$path" 2>/dev/null
		# Several jobs may do this at the same time. Only GNU and busybox know -T.
		[ -e "$path" ] || mv -T "$new" "$path" 2>/dev/null || [ -e "$path" ] || mv "$new" "$path"
	}
	detach() {
		command -v setsid >/dev/null && exec setsid "$@"
		exec perl -MPOSIX -e 'POSIX::setsid(); exec @ARGV' "$@"
	}
	# New sessions start from the base branch of the clone. Fast-forward the branch only in a clone that
	# this script has created: another clone belongs to the user.
	update_clone() {
		if [ -e "$path/.git/hub-session-workers/created" ]; then
			git -C "$path" pull -q --ff-only
		else
			git -C "$path" fetch -q
		fi </dev/null >/dev/null 2>&1
	}
	# A shell without job control lets its background processes ignore SIGINT.
	find_default() {
		default='env --default-signal=INT'
		$default true 2>/dev/null || default=
	}
	# Print a command that cuts $0.log again and again: endless output must not fill the disk. The worker
	# appends to the log. The command ends with the process $limited, also if that is killed.
	limit_log() {
		echo "trap - TERM; while sleep $log_pause && kill -0 \$limited 2>/dev/null; do
			[ \$((\$(wc -c <\"\$0.log\"))) -le $log_limit ] ||
				echo '(the output before this line was deleted: the log had more than $log_limit bytes)' >\"\$0.log\"
		done"
	}
	start_worker() {
		rm -f "$files.status"
		: >"$files.log"
		[ ! "$evaluation" ] || printf %s "$evaluation" >"$files.evaluation"
		printf '%s\n' "$command_line" >"$files.command"
		find_default
		supervise="trap : TERM; limited=\$\$; ($(limit_log)) & limiter=\$!"'; "$@"; echo $? >"$0.new"; kill $limiter 2>/dev/null; mv "$0.new" "$0.status"'
		(exec 9>&- && detach $default sh -c "$supervise" "$files" git-hub-session "$@" </dev/null >>"$files.log" 2>&1) &
		pid=$!
		echo "$pid $(start_of $pid)" >"$files.pid"
	}
	open_log() {
		slot=$SLURM_ARRAY_TASK_ID
		if [ "$(cat "$jobs/id" 2>/dev/null)" = "$jobs_id" ]; then
			log=$jobs/agent-$slot.log
			path=${path:-$here}
		else
			log=${XDG_CACHE_HOME:-$HOME/.cache}/git-hub-session/jobs/${SLURM_ARRAY_JOB_ID}_$slot.log
			mkdir -p "${log%/*}"
		fi
		exec >>"$log" 2>&1
	}
	# The batch system may send a signal only to this shell, so pass it on.
	run_worker() {
		find_default
		limited=$$ sh -c "$(limit_log)" "${log%.log}" &
		limiter=$!
		$default git-hub-session "$@" &
		pid=$!
		trap 'kill -TERM "$pid" 2>/dev/null' HUP INT TERM
		while :; do
			wait "$pid"
			status=$?
			kill -0 "$pid" 2>/dev/null || break
		done
		kill "$limiter" 2>/dev/null
		tell ended "$status"
		exit "$status"
	}
	follow_worker() {
		while :; do
			ended=''
			[ ! -e "$files.status" ] && kill -0 "$pid" 2>/dev/null || ended=yes
			size=$(($(wc -c <"$files.log")))
			[ "$size" -ge "$offset" ] || offset=0
			if [ "$size" -gt "$offset" ]; then
				tail -c "+$((offset + 1))" "$files.log" | head -c "$((size - offset))"
				offset=$size
			fi
			[ ! "$ended" ] || break
			sleep 0.2
		done
		tell ended "$(cat "$files.status" 2>/dev/null)"
	}
	cancel_workers() {
		slots=''
		for file in "$directory"/*.pid; do
			slot=${file##*/} slot=${slot%.pid}
			is_running "$directory/$slot" && kill -TERM "-$pid" && slots="$slots $slot"
		done
		for slot in $slots; do
			while is_running "$directory/$slot"; do sleep 0.2; done
		done
		set -- $slots
		tell cancelled $#
	}

	# A local command prefix inherits the variables of the caller's repository.
	unset GIT_HUB_SESSION_DIR $(git rev-parse --local-env-vars 2>/dev/null)
	eval "$git_settings"
	trap 'exit 129' HUP INT TERM
	exec 3<&0 </dev/null
	if [ "$action" = run ]; then
		open_log
	else
		(
			trap - TERM
			while read -r line <&3; do :; done
			kill $$
		) >/dev/null 2>&1 &
		watcher=$!
	fi
	PATH=$PATH:$HOME/.local/bin:/usr/local/bin
	cache=${XDG_CACHE_HOME:-$HOME/.cache}/git-hub-session
	program=$cache/programs/$version
	log_limit=268435456 log_pause=5 # bytes and seconds
	host=$(uname -n 2>/dev/null) || host=localhost

	case $path in
	'') path=$cache/$clone ;;
	'~/'*) path=$HOME/${path#'~/'} ;;
	/*) ;;
	*) path=$HOME/$path ;;
	esac
	case $url in
	'~/'*) url=$HOME/${url#'~/'} ;;
	esac
	[ "$action" != create ] || create_repository "$1"
	[ "$setup" ] || require_program
	if [ "$action$path" = "run$here" ]; then
		: # the clone of the caller can be a bare repository
	elif [ -e "$path/.git" ]; then
		case $action$slot in start1 | run*) update_clone ;; esac
	elif [ "$action" = cancel ]; then
		tell cancelled 0
		exit 0
	else
		create_clone
	fi
	git_dir=$(git -C "$path" rev-parse --absolute-git-dir) || exit
	# Hosts that share a home directory use the same clone.
	directory=$git_dir/hub-session-workers/$directory/$host
	files=$directory/$slot
	offset=0
	if [ "$action" = cancel ]; then
		cancel_workers
		kill "$watcher" 2>/dev/null
		exit 0
	fi
	mkdir -p "$directory" && cd "$path" || exit
	[ "$action" = run ] || is_running "$files" || lock_worker
	if [ "$action" = start ] && is_running "$files"; then
		exec 9>&-
		[ "$(cat "$files.evaluation" 2>/dev/null)" = "$evaluation" ] || {
			tell failed other
			exit 1
		}
		offset=$(($(wc -c <"$files.log")))
		tell attached
		[ "$(cat "$files.command" 2>/dev/null)" = "$command_line" ] || tell runs "$(head -n 1 "$files.command")"
		follow_worker
	else
		eval "$setup" >&2 9>&- || {
			tell failed setup
			exit 1
		}
		require_program
		[ "$action" != run ] || run_worker "$@"
		start_worker "$@"
		exec 9>&-
		tell started
		follow_worker
	fi
	kill "$watcher" 2>/dev/null
	exit 0
}
