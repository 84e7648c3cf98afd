module retain

go 1.18
