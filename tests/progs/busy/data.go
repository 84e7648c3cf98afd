package main

import (
	"fmt"
	"unsafe"
)

// graph: nodes whose pointers are swapped without end, which keeps write barriers busy.  Each node
// is in exactly one place of table, and points at two others.
type graphNode struct {
	id          uint64
	left, right *graphNode
	not         uint64 // ^id
}

const graphNodeSize = unsafe.Sizeof(graphNode{}) + unsafe.Sizeof(uintptr(0))

type graph struct {
	table []*graphNode
	at    int
	sum   uint64
}

func newGraph(n int) *graph {
	g := &graph{table: make([]*graphNode, n)}
	for i := range g.table {
		g.table[i] = &graphNode{id: uint64(i), not: ^uint64(i)}
		g.sum += uint64(i) * uint64(i)
	}
	for i, p := range g.table {
		p.left, p.right = g.table[(i+1)%n], g.table[(i+n-1)%n]
	}
	return g
}

func (g *graph) round(r *rng) {
	n := len(g.table)
	for i := 0; i < 5000; i++ {
		a, b := r.below(n), r.below(n)
		g.table[a], g.table[b] = g.table[b], g.table[a]
		p, q := g.table[a], g.table[b]
		p.left, q.left = q.left, p.left
		p.right, q.right = q.right, p.right
		if i%64 == 0 { // a new node in the place of an old one
			old := g.table[a]
			*old, g.table[a] = graphNode{old.id, old.left, old.right, old.not}, old
			g.table[b].left = &graphNode{id: ^uint64(0), not: 0, left: p, right: q}
		}
	}
}

func (g *graph) check() string {
	var sum uint64
	for i, p := range g.table {
		if p == nil || p.not != ^p.id {
			return fmt.Sprintf("node %d", i)
		}
		for _, q := range [2]*graphNode{p.left, p.right} {
			if q == nil || q.not != ^q.id {
				return fmt.Sprintf("neighbour of node %d", i)
			}
		}
		sum += p.id * p.id
	}
	if sum != g.sum {
		return "a node is lost"
	}
	return ""
}

// blocks: memory without pointers, replaced piece by piece.
type blocks struct {
	list []*block
	at   int
}

type block struct {
	seed uint64
	sum  uint64
	data []uint64
}

func newBlock(seed uint64, n int) *block {
	b := &block{seed: seed, data: make([]uint64, n)}
	for i := range b.data {
		seed = seed*6364136223846793005 + 1442695040888963407
		b.data[i] = seed
		b.sum = b.sum<<7 | b.sum>>57
		b.sum ^= seed
	}
	return b
}

func (b *block) ok() bool {
	var sum uint64
	for _, x := range b.data {
		sum = sum<<7 | sum>>57
		sum ^= x
	}
	return sum == b.sum
}

func newBlocks(mb int) *blocks {
	bs := &blocks{}
	for i := 0; i < mb*32; i++ { // 32 KB on average
		bs.list = append(bs.list, newBlock(uint64(i), 16+i*13%8192))
	}
	return bs
}

func (bs *blocks) round(r *rng) {
	for i := 0; i < 20; i++ {
		bs.list[r.below(len(bs.list))] = newBlock(r.next(), 16+r.below(8176))
	}
}

func (bs *blocks) check() string {
	for i := 0; i < len(bs.list)/16; i++ {
		bs.at = (bs.at + 1) % len(bs.list)
		if !bs.list[bs.at].ok() {
			return fmt.Sprintf("block %d", bs.at)
		}
	}
	return ""
}

// maps: grow, shrink by deletion, start afresh; several shapes.
type bigKey struct {
	n   uint64
	pad [18]uint64
}

type maps struct {
	small map[uint64]*uint64
	names map[string]string
	big   map[bigKey]*bigKey
	of    map[uint64]map[uint64]uint64
	n     uint64
}

func (m *maps) round(r *rng) {
	if m.n%8 == 0 {
		m.small = map[uint64]*uint64{}
		m.names = map[string]string{}
		m.big = map[bigKey]*bigKey{}
		m.of = map[uint64]map[uint64]uint64{}
	}
	m.n++
	for i := 0; i < 700; i++ {
		x := r.next()
		m.small[x] = &x
		if i%4 == 0 {
			s := fmt.Sprint("name-", x)
			m.names[s] = s[5:]
			k := bigKey{n: x}
			m.big[k] = &k
			in := m.of[x%64]
			if in == nil {
				in = map[uint64]uint64{}
				m.of[x%64] = in
			}
			in[x] = ^x
		}
		if i%3 == 0 {
			for k := range m.small {
				delete(m.small, k)
				break
			}
		}
	}
}

func (m *maps) check() string {
	for k, v := range m.small {
		if *v != k {
			return "small"
		}
	}
	for k, v := range m.names {
		if k[5:] != v {
			return "names"
		}
	}
	for k, v := range m.big {
		if *v != k {
			return "big"
		}
	}
	for _, in := range m.of {
		for k, v := range in {
			if v != ^k {
				return "map of maps"
			}
		}
	}
	return ""
}
