"""Everything that measures. Each folder is a program, run from anywhere as `python -m benchmarks.FOLDER`.

    judge           the judge beside other rules, on simulated traffic         make bench-judge
    releases        bad and good releases on a real cluster                    make bench-releases
    server          the model server beside the bare runtime and its peers     make bench-server
    http_servers    HTTP servers that have the same handler behind them        make bench-fronts
    informer        the memory of what the operator follows of a cluster       make bench-memory
    router          what the router costs a request                            make bench-router
    server_trials   the model server under load, at its end, and fuzzed        make trials-server

What they share is beside them: `command` (options, output, exit codes), `report_page` and `markdown` (where a report
goes and how it looks), `progress`, `errors`, `machine` and `http_client`.
"""
