# fish completion for `git hub-session`. fish does not load a file git-hub-session.fish for it, so
# save this file in a directory conf.d, such as ~/.config/fish/conf.d/git-hub-session.fish.

function __git_hub_session_start --description 'Print the index of hub-session in the words of git'
    set --local words (commandline --tokenize --cut-at-cursor --current-process)
    set --local index 1
    if test "$words[1]" = git
        set index 2
        while string match --quiet -- '-*' "$words[$index]"
            contains -- "$words[$index]" -C -c --git-dir --work-tree --namespace
            and set index (math $index + 1)
            set index (math $index + 1)
        end
    end
    contains -- "$words[$index]" hub-session git-hub-session
    and echo $index
end

function __git_hub_session_complete --description 'Print the candidates for the word at the cursor'
    set --local start (__git_hub_session_start)
    or return
    set --local words (commandline --tokenize --cut-at-cursor --current-process)
    set --local current (commandline --current-token --cut-at-cursor)
    set --local given $words[(math $start + 1)..] "$current"
    set --local lines (git hub-session completion --words -- $given 2>/dev/null)
    switch "$lines[1]"
        case files
            __fish_complete_path "$current"
        case command
            set --local separator (contains --index -- -- $given)
            complete --do-complete (string join ' ' -- (string escape -- $given[(math $separator + 1)..]))
        case '*'
            printf '%s\n' $lines[2..]
    end
end

complete --command git --condition __git_hub_session_start --no-files \
    --arguments '(__git_hub_session_complete)'
complete --command git-hub-session --no-files --arguments '(__git_hub_session_complete)'
