//go:build goexperiment.synctest && !go1.26
// +build goexperiment.synctest,!go1.26

package main

import "testing/synctest"

//go:noinline
func keepBubble() {
	b := pay("bubble", `(^|;)main\.keepBubble\b`)
	go synctest.Run(func() {
		gorBubble()
		use(b)
	})
	<-started
}

//go:noinline
func gorBubble() {
	b := payFunc("gorBubble")
	park()
	use(b)
}
