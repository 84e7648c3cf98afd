//go:build go1.24
// +build go1.24

package main

// Swiss maps grow table by table, each in one go: there is no state in between.
func growing(m map[int][]byte) bool { return true }
