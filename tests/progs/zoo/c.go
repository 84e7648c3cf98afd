//go:build cgo && !noc
// +build cgo,!noc

package main

/*
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

extern void zooCallback(int);

static int n_here;

static int zoo_here(void)
{
	return __atomic_load_n(&n_here, __ATOMIC_SEQ_CST);
}

static void zoo_pause(void)
{
	__atomic_add_fetch(&n_here, 1, __ATOMIC_SEQ_CST);
	for (;;)
		pause();
}

static void zoo_call(int which)
{
	zooCallback(which);
}

static void *zoo_main(void *arg)
{
	if (arg)
		zooCallback((int)(intptr_t)arg);
	zoo_pause();
	return NULL;
}

static int zoo_thread(int which)
{
	pthread_t t;

	return pthread_create(&t, NULL, zoo_main, (void *)(intptr_t)which);
}

static uintptr_t *zoo_memory(uintptr_t v)
{
	uintptr_t *p = malloc(64 << 10);

	*p = v;
	return p;
}
*/
import "C"

import (
	"time"
	"unsafe"
)

// What zooCallback is to do.
const (
	onNone   = iota // a thread that never calls Go
	onPark          // Go, C, Go: waits in Go
	onPause         // Go, C, Go, C: waits in C
	onDeep          // and again
	onReturn        // comes back to C
	onThreadPark
	onThreadPause
	onTop
)

// Goroutines inside C, called from C, and on threads that C made.
//
//go:noinline
func keepC() {
	hold(gorCPark)
	for i, f := range []func(){gorInC, gorCPause, gorCDeep, gorCReturn} {
		hold(f)
		inC(1 + i)
	}
	for i, which := range []C.int{onNone, onReturn, onThreadPause} {
		if C.zoo_thread(which) != 0 {
			panic("no thread")
		}
		if which == onThreadPause {
			<-started
		}
		inC(5 + i)
	}
	if C.zoo_thread(onThreadPark) != 0 {
		panic("no thread")
	}
	<-started
	inMemory()
}

// inC waits until so many threads stay in C.
func inC(n int) {
	for int(C.zoo_here()) < n {
		time.Sleep(time.Millisecond)
	}
}

//go:noinline
func gorInC() {
	b := payFunc("gorInC")
	started <- true
	C.zoo_pause()
	use(b)
}

//go:noinline
func gorCPark() {
	b := payFunc("gorCPark")
	C.zoo_call(onPark)
	use(b)
}

//go:noinline
func gorCPause() {
	b := payFunc("gorCPause")
	C.zoo_call(onPause)
	use(b)
}

//go:noinline
func gorCDeep() {
	b := payFunc("gorCDeep")
	C.zoo_call(onDeep)
	use(b)
}

// Has been called from C, and waits in C again.
//
//go:noinline
func gorCReturn() {
	b := payFunc("gorCReturn")
	C.zoo_call(onReturn)
	started <- true
	C.zoo_pause()
	use(b)
}

//go:noinline
func onCPark() {
	b := payFunc("onCPark")
	park()
	use(b)
}

//go:noinline
func onCPause() {
	b := payFunc("onCPause")
	started <- true
	C.zoo_pause()
	use(b)
}

//go:noinline
func onCDeep() {
	b := payFunc("onCDeep")
	C.zoo_call(onReturn)
	C.zoo_call(onTop)
	use(b)
}

//go:noinline
func onCThreadPark() {
	b := payFunc("onCThreadPark")
	park()
	use(b)
}

//go:noinline
func onCThreadPause() {
	b := payFunc("onCThreadPause")
	started <- true
	C.zoo_pause()
	use(b)
}

//go:noinline
func onCTop() {
	b := payFunc("onCTop")
	started <- true
	C.zoo_pause()
	use(b)
}

var zooMemory unsafe.Pointer

// An address in C's memory keeps nothing.
//
//go:noinline
func inMemory() {
	b := make([]byte, newPages())
	gone("inMemory", uintptr(len(b)))
	zooMemory = unsafe.Pointer(C.zoo_memory(C.uintptr_t(uintptr(unsafe.Pointer(&b[0])))))
}
