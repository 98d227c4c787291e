# bash completion for leenet: commands, and the flags that --help lists.
_leenet()
{
    local word=${COMP_WORDS[COMP_CWORD]} command=${COMP_WORDS[1]} flags
    COMPREPLY=()
    if [ "$COMP_CWORD" = 1 ]; then
        mapfile -t COMPREPLY < <(compgen -W 'info train eval infer report compare sweep bench tune help version' -- "$word")
    elif [ "$command" = help ]; then
        mapfile -t COMPREPLY < <(compgen -W 'info train eval infer report compare sweep bench tune' -- "$word")
    elif [[ $word == -* ]]; then
        flags=$("${COMP_WORDS[0]}" help "$command" 2> /dev/null | grep -o '^ *\(-[a-z], \)\?--[a-z-]*' | sed 's/.*--/--/')
        mapfile -t COMPREPLY < <(compgen -W "$flags" -- "$word")
    fi
}
complete -o default -F _leenet leenet
