module moving

go 1.17
