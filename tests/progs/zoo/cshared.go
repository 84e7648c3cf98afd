//go:build cshared
// +build cshared

package main

import "C"

// ZooMain is what tests/progs/cshared/host.c calls.
//
//export ZooMain
func ZooMain() { main() }
