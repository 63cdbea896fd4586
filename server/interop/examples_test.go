package interop_test

import (
	"bufio"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/flowcallback/flowcallback/server/servertest"
)

// The examples in other languages open a wait, hand out a link, await the outcome and follow the
// feed, against the real server. The TypeScript one is compiled strictly. Started again with the
// cursor that it kept, an example follows only what is new.
func TestExamples(t *testing.T) {
	folder := documents + "examples/typescript"
	build := exec.CommandContext(t.Context(), "npm", "run", "build")
	build.Dir = folder
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("npm run build: %v\n%s", err, output)
	}
	for name, arguments := range map[string][]string{
		"TypeScript": {"node", folder + "/built/example.js"},
		"Python":     {"python3", documents + "examples/python/example.py"},
	} {
		t.Run(name, func(t *testing.T) {
			s := servertest.Start(t, "--engine", "sqlite:"+filepath.Join(t.TempDir(), "waits.db"))
			cursor := filepath.Join(t.TempDir(), "cursor")
			for _, run := range []string{"first run", "second run"} {
				command := exec.CommandContext(t.Context(), arguments[0], append(arguments[1:], run)...)
				command.Env = append(os.Environ(), "FLOWCALLBACK_ENDPOINT="+s.URL, "CURSOR_FILE="+cursor)
				command.Stderr = os.Stderr
				out, err := command.StdoutPipe()
				if err != nil {
					t.Fatal(err)
				}
				if err := command.Start(); err != nil {
					t.Fatal(err)
				}
				var rest []string
				for lines := bufio.NewScanner(out); lines.Scan(); {
					link, isLink := strings.CutPrefix(lines.Text(), "link: ")
					if !isLink {
						rest = append(rest, lines.Text())
						continue
					}
					answer, err := http.Post(link+"/success", "application/json", strings.NewReader(`{"carrier":"post"}`))
					if err != nil || answer.StatusCode != http.StatusOK {
						t.Fatalf("POST of the link: %v, %v; want 200", answer, err)
					}
					answer.Body.Close()
				}
				want := fmt.Sprintf("outcome: success {\"carrier\":\"post\"} by link:Ines Moreau\nfollowed: %s success", run)
				if err := command.Wait(); err != nil || strings.Join(rest, "\n") != want {
					t.Errorf("the example printed\n%s\n%v; want\n%s", strings.Join(rest, "\n"), err, want)
				}
			}
		})
	}
}
