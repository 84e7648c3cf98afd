module ticks

go 1.17
