# hubcd [<id>] <agent>: change to the worktree of an agent, in fish.
function hubcd --description 'Change to the worktree of an agent'
    set --local directory (git hub-session path $argv)
    or return
    cd (string join \n $directory | string collect)
end
