package main

import (
	"strings"
	"testing"
)

// output returns benchmark output in the format of go test. durable is the figure of
// Loopback/durable; all other figures are 10.
func output(durable string) string {
	lines := []string{"cpu: A Processor @ 1 GHz", "BenchmarkUnrelated-2   1  5 ns/op"}
	for _, r := range rows {
		for _, figure := range [][2]string{{r.benchmark, r.unit}, {r.against, r.of}} {
			if figure[0] != "" {
				lines = append(lines, "Benchmark"+figure[0]+"-2   1000   10 "+figure[1])
			}
		}
	}
	lines = append(lines, "BenchmarkLoopback/durable-2  1000   30 ns/op   "+durable+" callbacks/s", "ok  \tpackage\t1s")
	return strings.Join(lines, "\n")
}

func TestTable(t *testing.T) {
	var out strings.Builder
	if err := run(strings.NewReader(output("20")), &out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"of A Processor @ 1 GHz",
		"| storeless over loopback, against unvalidated | 10 a second | 10 a second | 1.00 |  |",
		"| allocations of it | 10 |  |  | at most 36 |",
		"| twice as many senders as are served at once | 10 a second | 20 a second | 0.50 | at least 0.9, **missed** |",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("table does not contain %q:\n%s", want, out.String())
		}
	}
}

func TestFailuresAreNotTabulated(t *testing.T) {
	for name, in := range map[string]string{
		"failed":     output("20") + "\nFAIL\tpackage\t1s",
		"incomplete": strings.Join(strings.Split(output("20"), "\n")[:5], "\n"),
	} {
		if err := run(strings.NewReader(in), &strings.Builder{}); err == nil {
			t.Errorf("run with %s input: no error, want one", name)
		}
	}
}
