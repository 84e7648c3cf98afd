module account

go 1.17
