// A plugin that keeps payloads in every place of its own: two of them make two modules beside the host's.
package main

import (
	"fmt"
	"os"
)

const page = 8192

type crate struct {
	id   int
	Load []byte
}

type shelf struct {
	crates map[string]*crate
	next   *shelf
}

var (
	Shelf shelf
	deep  = &shelf{next: &shelf{}} // the inner ones have no names of their own
)

func pay(pages int, name, pattern string) []byte {
	b := make([]byte, pages*page)
	for i := range b {
		b[i] = byte(i * pages)
	}
	fmt.Printf("keep %s %d %s\n", name, len(b), pattern)
	return b
}

//go:noinline
func size(b []byte) int { return len(b) }

//go:noinline
func (c *crate) hold(ready, done chan bool) {
	local := map[int]*crate{1: c}
	ready <- true
	<-done
	fmt.Fprintln(os.Stderr, local)
}

// Start fills the plugin and gives the host what it shall hold of it.
func Start(first int, which string) (held interface{}, fn func() int) {
	Shelf.crates = map[string]*crate{"a": {1, pay(first, which+"Var", `\.Shelf;crates\. \(map\[string\]\*[^;]*crate\);`+
		`\$mapval\. \(\*[^;]*crate\);Load\. \(\[\]uint8\)$`)}}
	deep.next.crates = map[string]*crate{"b": {2, pay(first+1, which+"Nameless", `\.deep;.*Load\. \(\[\]uint8\)$`)}}
	ready, done := make(chan bool), make(chan bool)
	go (&crate{3, pay(first+2, which+"Local", `\.\(\*crate\)\.hold\.(local|c)\b.*Load\. \(\[\]uint8\)$`)}).hold(ready, done)
	<-ready
	captured := pay(first+4, which+"Captured", `^main\.fns;.*Start\.func1;captured\. \(\[\]uint8\)$`)
	return &crate{4, pay(first+3, which+"Held", `^main\.held;\[\d?\]\. \((any|interface \{\}) = \*[\w./]*crate\);Load\. \(\[\]uint8\)$`)},
		func() int { return size(captured) }
}
