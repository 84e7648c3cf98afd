//go:build cgo
// +build cgo

package main

import "C"

//export spinBack
func spinBack(n C.int) { back(int(n)) }
