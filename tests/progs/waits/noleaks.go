//go:build !go1.27 && !goexperiment.goroutineleakprofile

package main

func leakProfile() string { return "" }
