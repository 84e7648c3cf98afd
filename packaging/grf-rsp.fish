# fish completion for grf-rsp

function __grf_rsp_processes
    grep -sH '' /proc/*/comm | string replace -rf '^/proc/(\d+)/comm:(.*)' '$1'\t'$2'
end

# What a gdbserver listens on.
function __grf_rsp_stubs
    for comm in (grep -sl '^gdbserver' /proc/*/comm)
        string split0 <(string replace comm cmdline $comm) | string match -r '^[A-Za-z0-9.-]*:[0-9]+$'
    end
end

function __grf_rsp_limits
    printf '%s=\n' live growth growth-rate unreachable rss outside goroutines leaked-goroutines
end

complete -c grf-rsp -a '(__grf_rsp_processes)'
complete -c grf-rsp -a '(__grf_rsp_stubs)' -d 'gdbserver'
@OPTIONS@
