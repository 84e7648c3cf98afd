package main

// ticked is entered with each tick, before it looks at anything: a place for a breakpoint.  It is the last
// function of all, as QEMU is slow with all code in a breakpoint's page: it should not be that which fills and adds up.
//
//go:noinline
func ticked() {}
