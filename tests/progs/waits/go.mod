module waits

go 1.17
