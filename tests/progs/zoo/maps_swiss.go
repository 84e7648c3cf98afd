//go:build go1.26 || (go1.24 && goexperiment.swissmap)
// +build go1.26 go1.24,goexperiment.swissmap

package main

// Swiss maps grow table by table, each in one go: there is no state in between.
func growing(m map[int][]byte) bool { return true }
