module spin

go 1.17
