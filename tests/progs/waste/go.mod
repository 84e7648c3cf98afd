module waste

go 1.17
