// Server answers HTTP requests, and does all that a service does besides: timers, sleeps, files, child processes, signals,
// arithmetic.  It knows right from wrong itself: "BAD ..." is printed at once and ends it.
//
//	server [-heap MB]          prints "READY ADDR"; on SIGUSR1 "state ...": fds, threads, children, signals
//	server -load ADDR          asks it without end, half of the time on new connections; on SIGUSR1
//	                           "load ok=N failed=N slowest=MS"
//	server -spin SECONDS       no server: looks at the clock without end, prints the longest gap
package main

import (
	"flag"
	"fmt"
	"hash/fnv"
	"io"
	"math"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"
)

var children, sigchlds, rounds, requests atomic.Int64

type node struct {
	next *node
	id   uint64
	not  uint64
	pad  [13]uint64
}

var keep []*node

func bad(format string, args ...any) {
	os.Stdout.WriteString("BAD " + fmt.Sprintf(format, args...) + "\n")
	os.Exit(3)
}

func answer(n int) string {
	h := fnv.New64a()
	b := make([]byte, 1000)
	for i := 0; i < n%50+1; i++ {
		for j := range b {
			b[j] = byte(i*j + n)
		}
		h.Write(b)
	}
	return fmt.Sprintf("%d %016x", n, h.Sum64())
}

func work(w http.ResponseWriter, r *http.Request) {
	n, _ := strconv.Atoi(r.URL.Query().Get("n"))
	time.Sleep(time.Duration(n%3) * time.Millisecond)
	requests.Add(1)
	io.WriteString(w, answer(n))
}

// Children one after the other: each makes one SIGCHLD, and there is none without a child.
func spawn() {
	c := make(chan os.Signal, 100)
	signal.Notify(c, syscall.SIGCHLD)
	for {
		select {
		case <-c:
			bad("a SIGCHLD without a child")
		case <-time.After(20 * time.Millisecond):
		}
		out, err := exec.Command("/bin/echo", "hello").Output()
		if err != nil || string(out) != "hello\n" {
			bad("child: %q %v", out, err)
		}
		children.Add(1)
		select {
		case <-c:
			sigchlds.Add(1)
		case <-time.After(5 * time.Second):
			bad("a child's SIGCHLD is lost")
		}
	}
}

// In registers most of the time, floating point ones, too.
func compute() {
	var want float64
	var sum uint64
	for k := 0; ; k++ {
		x, u := 1.5, uint64(88172645463325252)
		for i := 0; i < 200000; i++ {
			x = math.Sqrt(x*x+1) - 0.25*x
			u ^= u << 13
			u ^= u >> 7
			u ^= u << 17
		}
		if k == 0 {
			want, sum = x, u
		}
		if x != want || u != sum {
			bad("arithmetic: %v %v, %v %v", x, want, u, sum)
		}
		rounds.Add(1)
	}
}

func sleeper() {
	t := time.NewTicker(3 * time.Millisecond)
	for {
		start := time.Now()
		syscall.Nanosleep(&syscall.Timespec{Nsec: 5e6}, nil)
		if d := time.Since(start); d < 0 {
			bad("the clock went back: %v", d)
		}
		<-t.C
	}
}

func piper() {
	r, w, err := os.Pipe()
	if err != nil {
		bad("pipe: %v", err)
	}
	go func() {
		for i := 0; ; i++ {
			w.Write([]byte{byte(i)})
			time.Sleep(time.Millisecond)
		}
	}()
	b := make([]byte, 1)
	for i := 0; ; i++ {
		if n, err := r.Read(b); n != 1 || err != nil || b[0] != byte(i) {
			bad("pipe: %d %v", n, err)
		}
	}
}

func checkHeap() {
	for {
		for i, p := range keep {
			if p.not != ^p.id {
				bad("node %d", i)
			}
			if i%10000 == 0 {
				time.Sleep(time.Millisecond)
			}
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func count(dir string) int {
	d, err := os.ReadDir(dir)
	if err != nil {
		return -1
	}
	return len(d)
}

func serve(heap int) {
	for i := 0; i < heap<<20/128; i++ {
		keep = append(keep, &node{id: uint64(i), not: ^uint64(i)})
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		bad("%v", err)
	}
	usr1 := make(chan os.Signal, 10)
	signal.Notify(usr1, syscall.SIGUSR1)
	go spawn()
	go compute()
	go sleeper()
	go piper()
	go checkHeap()
	http.HandleFunc("/work", work)
	go http.Serve(l, nil)
	fmt.Println("READY", l.Addr())
	for range usr1 {
		fmt.Printf("state fds=%d threads=%d children=%d sigchlds=%d rounds=%d requests=%d\n", count("/proc/self/fd"),
			count("/proc/self/task"), children.Load(), sigchlds.Load(), rounds.Load(), requests.Load())
	}
}

func load(addr string) {
	var ok, failed, slowest atomic.Int64
	for w := 0; w < 6; w++ {
		c := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: w%2 == 0}}
		go func(n int) {
			for ; ; n += 7 {
				start := time.Now()
				r, err := c.Get(fmt.Sprintf("http://%s/work?n=%d", addr, n))
				if err != nil {
					fmt.Println("FAILED", err)
					failed.Add(1)
					continue
				}
				b, err := io.ReadAll(r.Body)
				r.Body.Close()
				if err != nil || string(b) != answer(n) {
					fmt.Println("FAILED", err, string(b))
					failed.Add(1)
				} else {
					ok.Add(1)
				}
				if ms := time.Since(start).Milliseconds(); ms > slowest.Load() {
					slowest.Store(ms)
				}
				time.Sleep(2 * time.Millisecond)
			}
		}(w)
	}
	// Its own protocol, so that the end of the connection is what ends the answer.
	go func() {
		for n := 0; ; n += 11 {
			c, err := net.Dial("tcp", addr)
			var b []byte
			if err == nil {
				c.SetDeadline(time.Now().Add(10 * time.Second))
				fmt.Fprintf(c, "GET /work?n=%d HTTP/1.0\r\n\r\n", n)
				b, err = io.ReadAll(c)
				c.Close()
			}
			if err != nil || len(b) < 20 || string(b[len(b)-len(answer(n)):]) != answer(n) {
				fmt.Println("FAILED", err, string(b))
				failed.Add(1)
			} else {
				ok.Add(1)
			}
			time.Sleep(2 * time.Millisecond)
		}
	}()
	usr1 := make(chan os.Signal, 10)
	signal.Notify(usr1, syscall.SIGUSR1)
	fmt.Println("READY")
	for range usr1 {
		fmt.Printf("load ok=%d failed=%d slowest=%d\n", ok.Load(), failed.Load(), slowest.Swap(0))
	}
}

func spin(d time.Duration, heap int) {
	for i := 0; i < heap<<20/128; i++ {
		keep = append(keep, &node{id: uint64(i), not: ^uint64(i)})
	}
	fmt.Println("READY")
	last, max := time.Now(), time.Duration(0)
	for end := last.Add(d); last.Before(end); {
		now := time.Now()
		if now.Sub(last) > max {
			max = now.Sub(last)
		}
		last = now
	}
	fmt.Printf("gap %.1f ms\n", float64(max.Microseconds())/1000)
}

func main() {
	heap := flag.Int("heap", 8, "MB of heap with pointers")
	addr := flag.String("load", "", "ask the server at ADDR")
	secs := flag.Float64("spin", 0, "seconds")
	flag.Parse()
	switch {
	case *addr != "":
		load(*addr)
	case *secs > 0:
		spin(time.Duration(*secs*float64(time.Second)), *heap)
	default:
		serve(*heap)
	}
}
