//go:build go1.21
// +build go1.21

package main

import (
	"context"
	"runtime"
)

var (
	zooPinner    runtime.Pinner
	zooAfterFunc context.Context
)

//go:noinline
func keepGo21() {
	zooPinner.Pin(&payVar("zooPinner")[0])
	ctx, _ := context.WithCancel(context.Background())
	b := payVar("zooAfterFunc")
	context.AfterFunc(ctx, func() { use(b) })
	zooAfterFunc = ctx
}
