//go:build cgo
// +build cgo

package main

/*
#include <pthread.h>
#include <stdint.h>

extern void spinBack(int);

static int spin_work(int n)
{
	volatile int x = n;

	for (int i = 0; i < n; i++)
		x += i;
	return x;
}

static void spin_call(int n)
{
	spinBack(n);
}

static void *spin_main(void *arg)
{
	for (;;)
		spinBack(-1 - (int)(intptr_t)arg);
	return 0;
}

static int spin_thread(int which)
{
	pthread_t t;

	return pthread_create(&t, 0, spin_main, (void *)(intptr_t)which);
}
*/
import "C"

func holdC() {
	hold(spinC)
	hold(spinBackAndForth)
	if C.spin_thread(0) != 0 || C.spin_thread(1) != 0 {
		panic("no thread")
	}
	<-started
}

//go:noinline
func spinC() {
	b := pay("spinC")
	started <- true
	for i := 0; ; i++ {
		C.spin_work(C.int(i % 300))
		touch(b, i)
	}
}

// Go, C, Go, C, Go.
//
//go:noinline
func spinBackAndForth() {
	b := pay("spinBackAndForth")
	started <- true
	for i := 0; ; i++ {
		C.spin_call(C.int(i % 3))
		touch(b, i)
	}
}

//go:noinline
func spinThread() {
	b := pay("spinThread")
	started <- true
	for i := 0; ; i++ {
		C.spin_work(C.int(i % 300))
		C.spin_call(C.int(i % 3))
		touch(b, i)
	}
}

var short = make([]byte, page)

// From a thread that comes and goes.
func spinShort(n int) {
	touch(short, n)
}

func back(n int) {
	switch {
	case n == -1:
		spinThread()
	case n == -2:
		spinShort(n & 1023)
	case n > 0:
		C.spin_call(C.int(n - 1))
	default:
		touch(short, 7)
	}
}
