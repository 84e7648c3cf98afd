module busy

go 1.17
