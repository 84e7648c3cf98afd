module growth

go 1.17
