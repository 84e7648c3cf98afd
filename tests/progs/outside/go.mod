module outside

go 1.17
