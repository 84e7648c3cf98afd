//go:build !goexperiment.synctest || go1.26
// +build !goexperiment.synctest go1.26

package main

func keepBubble() {}
