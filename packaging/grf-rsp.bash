# bash completion for grf-rsp

# Ids of this user's processes (for root of everybody's), and, with an argument, where a gdbserver listens.
_grf_rsp_targets()
{
	local dir command
	for dir in /proc/[0-9]*; do
		[[ (-O $dir || $EUID -eq 0) && -e $dir/exe ]] || continue
		echo "${dir#/proc/}"
		[[ $1 ]] || continue
		{ read -r command <"$dir/comm"; } 2>/dev/null || continue
		[[ $command != gdbserver* ]] || tr '\0' '\n' <"$dir/cmdline" 2>/dev/null | grep -xE '[A-Za-z0-9.-]*:[0-9]+'
	done
}

_grf_rsp()
{
	local cur=${COMP_WORDS[COMP_CWORD]} option=${COMP_WORDS[COMP_CWORD - 1]} values= files= before= word
@OPTIONS@
	# bash takes "--fork=no" and "host:port" for three words.
	if [[ $cur == = ]]; then
		cur=
	elif [[ $option == = ]]; then
		option=${COMP_WORDS[COMP_CWORD - 2]}
	elif [[ $cur == : ]]; then
		before=$option: cur= option=
	elif [[ $option == : ]]; then
		before=${COMP_WORDS[COMP_CWORD - 2]}: option=
	elif [[ $takes != *" $option "* ]]; then
		option=
	fi
	case $option in
	-p | --pid)
		values="$(_grf_rsp_targets) $(cat /proc/[0-9]*/comm 2>/dev/null)" ;;
	-o | --output | --debug | --base)
		files=1 ;;
	--limit)
		compopt -o nospace
		values='live= growth= growth-rate= unreachable= rss= outside= goroutines= leaked-goroutines=' ;;
	'')
		if [[ $cur == -* ]]; then
			values=$options
		else
			files=1
			values=$(_grf_rsp_targets all)
		fi ;;
	*)
		values=${choices[$option]-} ;;
	esac
	COMPREPLY=()
	for word in $(compgen -W "$values" -- "$before$cur" | sort -u); do
		COMPREPLY+=("${word#"$before"}")
	done
	if [[ $files && ! $before ]]; then
		compopt -o filenames
		while IFS= read -r word; do
			COMPREPLY+=("$word")
		done < <(compgen -f -- "$cur")
	fi
}

complete -F _grf_rsp grf-rsp
