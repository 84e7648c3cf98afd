//go:build go1.27 || goexperiment.goroutineleakprofile

package main

import (
	"bytes"
	"runtime/pprof"
)

func leakProfile() string {
	var b bytes.Buffer
	if err := pprof.Lookup("goroutineleak").WriteTo(&b, 2); err != nil {
		panic(err)
	}
	return b.String()
}
