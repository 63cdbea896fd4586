// Command benchtable reads the output of "go test -bench" and writes the project's benchmark
// table. Each row compares one measure with another measure of the same run, and states
// whether the goal is met. "make bench" runs it.
//
// The project does not use benchstat for this table. benchstat compares the same benchmark
// before and after a change. This table compares different benchmarks of one run and states
// whether goals are met.
package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// A row compares a figure of one benchmark with a figure of another benchmark, and compares
// their ratio with the goal. If against is empty, the row compares the figure itself with the
// goal.
type row struct {
	title           string
	benchmark, unit string
	against, of     string // benchmark and unit to compare with; empty if there is none
	goal            float64
	atLeast         bool
}

// rows are the rows of the table, in order.
var rows = []row{
	{"callbacks in random order with the default log, against a bare handler that syncs in groups", "Durable", "of-synced", "", "", 0.75, true},
	{"the same, against the generated handler without validation and store", "Durable", "of-unvalidated", "", "", 0.6, true},
	{"the same, against no log", "Durable", "of-quiet", "", "", 0.97, true},
	{"small callback in process, against the same by hand", "Callback/small", "ns/op", "Plain/small", "ns/op", 1.15, false},
	{"allocations of it", "Callback/small", "allocs/op", "", "", 36, false},
	{"200 KiB callback in process, against json.Valid", "Callback/200KiB", "ns/op", "JSONValid/200KiB", "ns/op", 2, false},
	{"storeless over loopback, against unvalidated", "Loopback/storeless", "callbacks/s", "Loopback/unvalidated", "callbacks/s", 0, true},
	{"twice as many senders as are served at once", "Loopback/overloaded", "callbacks/s", "Loopback/durable", "callbacks/s", 0.9, true},
	{"settles in random order among 200,000 waits, against the order of opening (processor time)", "Store/random", "cpu-us/settle", "Store/ordered", "cpu-us/settle", 0, false},
	{"opening, against settling (processor time)", "Store/random", "cpu-us/open", "Store/random", "cpu-us/settle", 1.25, false},
	{"slowest page of any list, of 200,000 waits", "Store/random", "slowest-page-ms", "", "", 20, false},
	{"1,000,000 waits in the file, against 1,000", "Growth/1000000waits", "callbacks/s", "Growth/1000waits", "callbacks/s", 0.9, true},
	{"opening with 1,000,000 waits in the file, against 1,000", "Growth/1000000waits", "opens/s", "Growth/1000waits", "opens/s", 0.85, true},
	{"memory with 1,000,000 waits", "Growth/1000000waits", "MiB", "", "", 200, false},
	{"start with 1,000,000 waits", "Growth/1000000waits", "start-ms", "", "", 300, false},
	{"memory of a long-poll, of 10,000", "Polls/10000polls", "KiB/poll", "", "", 20, false},
	{"callbacks beside 10,000 long-polls, against none", "Polls/10000polls", "callbacks/s", "Polls/0polls", "callbacks/s", 0, true},
	{"callbacks beside retention, against none", "Retention", "of-callbacks-alone", "", "", 0.7, true},
	{"deletions of retention, against the callbacks that it follows", "Retention", "of-callbacks", "", "", 1, true},
	{"PostgreSQL: batches, against one statement for each callback", "Postgres", "of-one-statement-each", "", "", 10, true},
	{"PostgreSQL: the same beside a snapshot that is held, against without", "Postgres", "beside-a-snapshot", "", "", 0.9, true},
	{"PostgreSQL: two copies, against one", "Postgres", "two-copies", "", "", 0.9, true},
	{"PostgreSQL: bytes of its log for a callback", "Postgres", "wal-bytes/callback", "", "", 700, false},
	{"PostgreSQL: until a long-poll on the other copy wakes, 99th percentile", "Wake", "p99-ms", "", "", 25, false},
	{"PostgreSQL: callbacks over HTTP, against in process", "PostgresHTTP", "of-in-process", "", "", 0.5, true},
}

func main() {
	if err := run(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "benchtable:", err)
		os.Exit(1)
	}
}

func run(in io.Reader, out io.Writer) error {
	figures, processor, err := read(in)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%s, %s, %d processors of %s, %s/%s. The senders run on the same processors. Figures of one run\n"+
		"compare; those of two machines, or of two days, do not.\n\n", time.Now().UTC().Format(time.DateOnly), runtime.Version(), runtime.NumCPU(), processor, runtime.GOOS, runtime.GOARCH)
	fmt.Fprintln(out, "| measure | here | compared with | ratio | goal |\n|---|---|---|---|---|")
	for _, r := range rows {
		here, ok := figures[r.benchmark][r.unit]
		if !ok {
			return fmt.Errorf("no %s of Benchmark%s", r.unit, r.benchmark)
		}
		other, ok := figures[r.against][r.of]
		if !ok && r.against != "" {
			return fmt.Errorf("no %s of Benchmark%s", r.of, r.against)
		}
		fmt.Fprintln(out, r.line(here, other))
	}
	return nil
}

func (r row) line(here, other float64) string {
	compared, ratio, judged := "", "", here
	if r.against != "" {
		judged = here / other
		compared, ratio = show(other, r.of), strconv.FormatFloat(judged, 'f', 2, 64)
	}
	goal := ""
	if r.goal != 0 {
		bound, met := "at most ", judged <= r.goal
		if r.atLeast {
			bound, met = "at least ", judged >= r.goal
		}
		goal = bound + strconv.FormatFloat(r.goal, 'f', -1, 64)
		if !met {
			goal += ", **missed**"
		}
	}
	return fmt.Sprintf("| %s | %s | %s | %s | %s |", r.title, show(here, r.unit), compared, ratio, goal)
}

// show formats a figure in a readable unit.
func show(figure float64, unit string) string {
	switch {
	case strings.HasSuffix(unit, "ns/op"):
		return fmt.Sprintf("%.1f µs", figure/1000)
	case strings.HasSuffix(unit, "-µs"):
		return fmt.Sprintf("%.1f ms", figure/1000)
	case strings.HasSuffix(unit, "-ms"):
		return fmt.Sprintf("%.0f ms", figure)
	case unit == "callbacks/s", unit == "opens/s":
		return fmt.Sprintf("%.0f a second", figure)
	case unit == "allocs/op":
		return fmt.Sprintf("%.0f", figure)
	case strings.HasPrefix(unit, "cpu-us/"):
		return fmt.Sprintf("%.1f µs", figure)
	case strings.HasPrefix(unit, "of-"): // a ratio that the benchmark itself has computed
		return fmt.Sprintf("%.2f", figure)
	default:
		unit, _, _ = strings.Cut(unit, "/")
		return fmt.Sprintf("%.1f %s", figure, unit)
	}
}

// result matches a result line: benchmark name, iterations, and figures with their units.
var result = regexp.MustCompile(`^Benchmark(\S+?)(?:-\d+)?\s+\d+\s+(.*)$`)

// read returns the figures by benchmark and unit, and the processor's name. If a benchmark ran
// more than once, read returns the best figure, because disturbances only make figures worse.
// It copies all lines to standard error to show progress.
func read(in io.Reader) (figures map[string]map[string]float64, processor string, err error) {
	figures = map[string]map[string]float64{}
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		fmt.Fprintln(os.Stderr, lines.Text())
		if cpu, ok := strings.CutPrefix(lines.Text(), "cpu: "); ok {
			processor = cpu
		}
		if strings.HasPrefix(lines.Text(), "FAIL") {
			err = fmt.Errorf("a benchmark failed: %s", lines.Text())
		}
		match := result.FindStringSubmatch(lines.Text())
		if match == nil {
			continue
		}
		units := figures[match[1]]
		if units == nil {
			units = map[string]float64{}
			figures[match[1]] = units
		}
		fields := strings.Fields(match[2])
		for i := 0; i+1 < len(fields); i += 2 {
			figure, err := strconv.ParseFloat(fields[i], 64)
			unit := fields[i+1]
			best, known := units[unit]
			if err == nil && (!known || strings.HasSuffix(unit, "/s") && figure > best || !strings.HasSuffix(unit, "/s") && figure < best) {
				units[unit] = figure
			}
		}
	}
	if err == nil {
		err = lines.Err()
	}
	return figures, processor, err
}
