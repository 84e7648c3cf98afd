module slots

go 1.17
