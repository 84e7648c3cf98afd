// Slots keeps objects that do not fill their size classes, and says how much they leave: "waste N".
package main

import (
	"fmt"
	"runtime"
	"strings"
	"time"
)

// 72 bytes, in slots of 80.
type record struct {
	next *record
	rest [64]byte
}

// 104 bytes, in slots of 112, with nothing for the collector to follow.
type sample struct{ values [13]int64 }

var (
	records []*record
	samples []*sample
	bufs    [][]byte // 1100 bytes, in slots of 1152
	texts   []string // 33 bytes, in slots of 48
	lists   [][]*int // 5 pointers, in slots of 48
)

const n = 20000

func main() {
	waste := 0
	for i := 0; i < n; i++ {
		records = append(records, &record{})
		samples = append(samples, &sample{})
		bufs = append(bufs, make([]byte, 1100-i%8, 1100))
		texts = append(texts, strings.Repeat("x", 33))
		lists = append(lists, make([]*int, 1, 5))
		waste += 80 - 72 + 112 - 104 + 1152 - 1100 + 48 - 33 + 48 - 40
	}
	records, samples, bufs, texts, lists = records[:n:n], samples[:n:n], bufs[:n:n], texts[:n:n], lists[:n:n]
	runtime.GC()
	fmt.Println("waste", waste)
	fmt.Println("READY")
	for {
		time.Sleep(time.Hour)
	}
}
