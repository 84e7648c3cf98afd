module plugin

go 1.17
