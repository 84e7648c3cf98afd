module swaps

go 1.17
