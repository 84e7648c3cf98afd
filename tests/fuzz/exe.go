// The program whose executable fuzz_exe changes: types, a map, a closure, variables, locals.
package main

type node struct {
	next *node
	name string
	kids []*node
	m    map[string]int
}

var root *node

//go:noinline
func work(n *node, k int) func() int {
	c := k * 2
	l := &node{next: n}
	return func() int { c++; return c + k + len(l.name) }
}

func main() {
	root = &node{m: map[string]int{"a": 1}}
	println(work(root, 3)())
}
