// Guest is the first process of a test's virtual machine: it starts the programs that the kernel's command line
// names behind "--" (PATH,ARG,ARG...) and copies what they print to the console, each line behind the
// program's number: "1 READY".
package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"
)

var mu sync.Mutex

func say(format string, args ...any) {
	mu.Lock()
	defer mu.Unlock()
	fmt.Printf(format+"\n", args...)
}

func run(n int, spec string) {
	argv := strings.Split(spec, ",")
	cmd := exec.Command(argv[0], argv[1:]...)
	out, err := cmd.StdoutPipe()
	if err == nil {
		cmd.Stderr = cmd.Stdout
		err = cmd.Start()
	}
	if err != nil {
		say("%d FAILED %v", n, err)
		return
	}
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		say("%d %s", n, lines.Text())
	}
	say("%d ENDED %v", n, cmd.Wait())
}

func main() {
	signal.Ignore(syscall.SIGINT)
	os.Setenv("PATH", "/")
	os.Mkdir("/proc", 0o755)
	syscall.Mount("proc", "/proc", "proc", 0, "")
	say("") // the firmware's last line is not ended
	n := 0
	for _, spec := range os.Args[1:] {
		if strings.HasPrefix(spec, "/") { // others are words that the kernel did not know
			n++
			go run(n, spec)
		}
	}
	for {
		time.Sleep(time.Hour)
	}
}
