// Ticks keeps a small list, and says fifty times a second whether it is whole: a process that is read in two hundred packets.
package main

import (
	"fmt"
	"time"
)

type node struct {
	next *node
	n    [3]int
}

var list *node

//go:noinline
func ticked(i int) {
	sum, n := 0, 0
	for at := list; at != nil; at = at.next {
		sum += at.n[0]
		n++
	}
	ok := "ok"
	if sum != 4950 || n != 100 {
		ok = "BAD"
	}
	fmt.Println("tick", i, ok)
}

func main() {
	for i := 0; i < 100; i++ {
		list = &node{next: list, n: [3]int{i}}
	}
	fmt.Println("READY")
	for i := 0; ; i++ {
		time.Sleep(20 * time.Millisecond)
		ticked(i)
	}
}
