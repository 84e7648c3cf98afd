module leak

go 1.17
