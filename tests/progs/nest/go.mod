module nest

go 1.17
