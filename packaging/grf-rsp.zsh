#compdef grf-rsp
# zsh completion for grf-rsp

_grf_rsp_process() {
	local -a names
	names=(${(u)${(f)"$(cat /proc/<->/comm 2>/dev/null)"}})
	_alternative 'pids:process:_pids' "names:name of a process:(${(j: :)${(@q)names}})"
}

# What a gdbserver listens on.
_grf_rsp_stub() {
	local -a stubs
	local dir
	for dir in /proc/<->(N); do
		[[ "$(cat $dir/comm 2>/dev/null)" == gdbserver* ]] || continue
		stubs+=(${(M)${(0)"$(cat $dir/cmdline 2>/dev/null)"}:#*:<->})
	done
	compadd -X 'stub: HOST:PORT, unix:PATH, | COMMAND' -a stubs
}

_grf_rsp_target() {
	_alternative 'pids:process:_pids' 'stubs:stub:_grf_rsp_stub' 'cores:core file:_files'
}

_grf_rsp_limit() {
	compadd -S '' live= growth= growth-rate= unreachable= rss= outside= goroutines= leaked-goroutines=
}

_arguments -S \
@OPTIONS@
	':target:_grf_rsp_target' \
	':executable:_files'
