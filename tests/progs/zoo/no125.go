//go:build !go1.25
// +build !go1.25

package main

func keepGo25() {}

const uniqueDrops = false
