"""Small programs, each an instance of a kind that once went wrong."""

import pytest

from lib import *

CAPTURE = """package main

import (
	"fmt"
	"time"
)

type WL struct {
	pad [3]int
	dir string
	buf []byte
}

func (w *WL) Dir() string { return w.dir }

//go:noinline
func dirSize(s string) (int64, error) { return int64(len(s)), nil }

func (w *WL) Size() (int64, error) { return dirSize(w.Dir()) }

var report func() float64

//go:noinline
func newMetrics(w *WL) {
	report = func() float64 {
		val, err := w.Size()
		if err != nil {
			fmt.Println("failed", err.Error(), w.dir)
		}
		return float64(val)
	}
}

func main() {
	newMetrics(&WL{dir: "x", buf: make([]byte, 1<<20)})
	fmt.Println("READY", report())
	time.Sleep(100 * time.Second)
}
"""


@pytest.mark.timeout(120)
@pytest.mark.needs("gdbserver")
@pytest.mark.parametrize("version", versions("1.21.13 1.22.12 1.26.8"))
def test_result_of_an_inlined_call_is_no_capture(version):
    """Until Go 1.22 captures are told by their line, on which an inlined call leaves its result, ~r0."""
    exe = go_source(CAPTURE, version)
    with Prog([exe]) as p, multi() as g:
        prof = profile(g.target, exe, "-p", p.pid)
    biggest = max(prof.stacks, key=lambda s: s[1])
    check(biggest[0] == "main.report;main.newMetrics.func1;w. (*main.WL);buf. ([]uint8)", biggest)
