//go:build !cgo || noc
// +build !cgo noc

package main

func keepC() {}
