package interop_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/flowcallback/flowcallback/client"
	"github.com/flowcallback/flowcallback/gen/waits"
	"github.com/flowcallback/flowcallback/openapi/edges"
	"github.com/flowcallback/flowcallback/server/servertest"
)

var update = flag.Bool("update", false, "write GENERATORS.md")

const (
	matrix     = "matrix"
	generators = "../../openapi/GENERATORS.md"
	published  = "../../../openapi/published/" // seen from the folder matrix
)

// tried is what a generator made of the contract, and did with it.
type tried struct {
	settled, escapes bool
	code             string // of a contradiction
	isCollection     bool   // nothing is compiled, and a person reads the answers
}

// A generator is tried by generating from both documents, compiling strictly, and one call each.
type generator struct {
	name, pinned string // pinned: where its version is
	makes        string
	try          func(t *testing.T, endpoint string) tried
	remark       string
}

var typescript = []string{"--strict", "--skipLibCheck", "--target", "es2022", "--module", "commonjs", "--moduleResolution", "node10", "--esModuleInterop", "--types", "node"}

// TestMatrix tries each generator, and compares what it finds with the table.
func TestMatrix(t *testing.T) {
	// each runs a command for both documents, with the name of the document in place of NAME.
	each := func(command ...string) func(*testing.T, string) {
		return func(t *testing.T, _ string) {
			for _, name := range []string{"callback", "waits"} {
				replaced := make([]string, len(command))
				for i, word := range command {
					replaced[i] = strings.ReplaceAll(word, "NAME", name)
				}
				inMatrix(t, "", replaced...)
			}
		}
	}
	tools := []generator{
		{
			"@hey-api/openapi-ts", "package.json", "a client in TypeScript, on fetch", program("hey-api",
				each("openapi-ts", "-i", published+"NAME.json", "-o", "generated/hey-api/NAME", "-c", "@hey-api/client-fetch")),
			"newer versions need Node 22",
		},
		{
			"openapi-typescript", "package.json", "types in TypeScript, for openapi-fetch", program("openapi-typescript",
				each("openapi-typescript", "--default-non-nullable=false", published+"NAME.json", "-o", "generated/openapi-typescript/NAME.ts")),
			"pass `--default-non-nullable=false`: it otherwise makes members with a default mandatory in requests",
		},
		{"openapi-zod-client", "package.json", "a client in TypeScript with Zod, on axios", program("openapi-zod-client",
			each("openapi-zod-client", published+"NAME.json", "-o", "generated/openapi-zod-client/NAME.ts")), ""},
		{"orval", "package.json", "a client in TypeScript, on fetch", program("orval", func(t *testing.T, endpoint string) {
			inMatrix(t, endpoint, "orval", "--config", "orval.config.cjs")
		}), "newer versions need Node 22; pass `headers: true`, or the two headers have no types"},
		{
			"swagger-typescript-api", "package.json", "a client in TypeScript, on fetch", program("swagger-typescript-api",
				each("swagger-typescript-api", "generate", "--generate-union-enums", "-p", published+"NAME.json", "-o", "generated/swagger-typescript-api", "-n", "NAME.ts")),
			"the two headers have no types",
		},
		{"github.com/ogen-go/ogen", "ogen/go.mod", "a client and a server in Go", ogen, "its server lets through what only `not` refuses, a success without output"},
		{
			"openapi-to-postmanv2", "package.json", "a collection for Postman", postman,
			"choose Example for the generation of parameters: from the schema alone it makes a body that is no object, because of `not`",
		},
		{"@usebruno/cli", "package.json", "a collection for Bruno", bruno, "its environments are named after the servers of the document"},
	}
	if err := os.RemoveAll(filepath.Join(matrix, "generated")); err != nil {
		t.Fatal(err)
	}
	table := "# What generators make of the contract\n\n" +
		"Made by `make contract-matrix UPDATE=-update`. Each generates from [both documents](published). The code is compiled\n" +
		"strictly, and then opens a wait on a real server and calls it back.\n\n" +
		"Generated types do not have what only `not` and the `x-` extensions say; the server refuses it. Tools that write\n" +
		"every reference out in place cannot read waits, because `ValueSchema` refers to itself.\n\n" +
		"| generator | makes | compiles | opens a wait and settles it | tells the code of an error | sends an id with a slash | |\n" +
		"|---|---|---|---|---|---|---|\n"
	for _, g := range tools {
		var found tried
		if !t.Run(g.name, func(t *testing.T) {
			s := servertest.Start(t, "--engine", "sqlite:"+filepath.Join(t.TempDir(), "waits.db"))
			found = g.try(t, s.URL)
			if !found.settled {
				t.Errorf("it did not settle the wait: %+v", found)
			}
			if status := statusOf(t, s.URL); status != waits.Success {
				t.Errorf("the server has the wait as %s", status)
			}
		}) {
			continue
		}
		compiles, code, escapes := "yes", yes(found.code == "FLOWCALLBACK.CONFLICT"), yes(found.escapes)
		if found.isCollection {
			compiles, code, escapes = "–", "–", "–"
		}
		table += fmt.Sprintf("| `%s` %s | %s | %s | %s | %s | %s | %s |\n",
			g.name, versionOf(t, g), g.makes, compiles, yes(found.settled), code, escapes, g.remark)
	}
	if t.Failed() {
		return
	}
	if *update {
		if err := os.WriteFile(generators, []byte(table), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if kept, err := os.ReadFile(generators); err != nil || string(kept) != table {
		t.Errorf("openapi/GENERATORS.md is not up to date (%v); `make contract-matrix UPDATE=-update` writes it:\n%s", err, table)
	}
}

func yes(is bool) string {
	if is {
		return "yes"
	}
	return "**no**"
}

// inMatrix runs a tool that matrix/package.json pins, with what run.ts reads from the environment, and returns
// its standard output.
func inMatrix(t *testing.T, endpoint string, command ...string) []byte {
	t.Helper()
	path, err := filepath.Abs(filepath.Join(matrix, "node_modules", ".bin", command[0]))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("%v (`make contract-matrix` installs the tools)", err)
	}
	return run(t, matrix, endpoint, append([]string{path}, command[1:]...)...)
}

func run(t *testing.T, folder, endpoint string, command ...string) []byte {
	t.Helper()
	c := exec.CommandContext(t.Context(), command[0], command[1:]...)
	c.Dir = folder
	project, state := example(t)
	c.Env = append(os.Environ(), "ENDPOINT="+endpoint, "PROJECT="+project, "WORKFLOW="+state.Workflow, "RUN="+state.Run, "STATE="+state.State,
		"DO_NOT_TRACK=1", "NO_COLOR=1")
	var stdout, stderr bytes.Buffer
	c.Stdout, c.Stderr = &stdout, &stderr
	if err := c.Run(); err != nil {
		t.Fatalf("%s: %v\n%s%s", strings.Join(command, " "), err, stdout.Bytes(), stderr.Bytes())
	}
	return stdout.Bytes()
}

// program generates, compiles NAME.ts of the folder matrix with what was generated, and runs it.
func program(name string, generate func(t *testing.T, endpoint string)) func(*testing.T, string) tried {
	return func(t *testing.T, endpoint string) tried {
		if err := os.MkdirAll(filepath.Join(matrix, "generated", name), 0o750); err != nil {
			t.Fatal(err)
		}
		generate(t, endpoint)
		built := "generated/built/" + name
		inMatrix(t, "", append(append([]string{"tsc"}, typescript...), "--outDir", built, name+".ts")...)
		return reported(t, run(t, matrix, endpoint, "node", built+"/"+name+".js"))
	}
}

func reported(t *testing.T, text []byte) tried {
	t.Helper()
	var report struct {
		Settled, Escapes bool
		Code             string
	}
	if err := json.Unmarshal(text, &report); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return tried{settled: report.Settled, escapes: report.Escapes, code: report.Code}
}

func ogen(t *testing.T, endpoint string) tried {
	folder := filepath.Join(matrix, "ogen")
	run(t, folder, "", "go", "generate", ".")
	run(t, folder, "", "go", "vet", "./...")
	return reported(t, run(t, folder, endpoint, "go", "run", "."))
}

// example is the state of the contract's examples.
func example(t *testing.T) (project string, state client.State) {
	t.Helper()
	operations, err := edges.Operations("callback.yaml")
	if err != nil {
		t.Fatal(err)
	}
	ids := map[string]string{}
	for _, p := range operations[0].Parameters {
		ids[p.Name] = fmt.Sprint(p.Example)
	}
	return ids["project_id"], client.State{Workflow: ids["workflow_id"], Run: ids["X-Workflow-Run-Id"], State: ids["X-Workflow-State-Id"]}
}

// statusOf returns the status that the wait of the example has on a server.
func statusOf(t *testing.T, endpoint string) waits.Status {
	t.Helper()
	project, state := example(t)
	c, err := client.New(endpoint, project)
	if err != nil {
		t.Fatal(err)
	}
	wait, err := c.Waits.Open(t.Context(), state, client.OpenOptions{}) // opening it again returns it as it is
	if err != nil {
		t.Fatal(err)
	}
	return wait.Status
}

// postman converts both documents, and has newman send one request of each collection.
func postman(t *testing.T, endpoint string) tried {
	for _, name := range []string{"callback", "waits"} {
		inMatrix(t, "", "openapi2postmanv2", "-s", published+name+".json", "-o", "generated/"+name+".postman.json", "-O", "parametersResolution=Example")
	}
	send := func(name, request string) int {
		inMatrix(t, "", "newman", "run", "generated/"+name+".postman.json", "--folder", request, "--env-var", "baseUrl="+endpoint,
			"--reporters", "json", "--reporter-json-export", "generated/newman.json")
		var report struct {
			Run struct {
				Executions []struct {
					Response struct{ Code int }
				}
			}
		}
		readReport(t, "generated/newman.json", &report)
		return report.Run.Executions[0].Response.Code
	}
	return tried{isCollection: true, settled: send("waits", "Open a wait") == 201 && send("callback", "Call back a flow") == 200}
}

// bruno imports both documents, and sends one request of each collection.
func bruno(t *testing.T, endpoint string) tried {
	send := func(name, request string) int {
		folder := "generated/bruno-" + name
		inMatrix(t, "", "bru", "import", "openapi", "--source", published+name+".json", "--output", folder, "--collection-name", name)
		bru, err := filepath.Abs(filepath.Join(matrix, "node_modules", ".bin", "bru"))
		if err != nil {
			t.Fatal(err)
		}
		run(t, filepath.Join(matrix, folder), "", bru, "run", request, "--env", "A server on this machine", "--env-var", "baseUrl="+endpoint,
			"--reporter-json", "../bruno.json")
		var report []struct {
			Results []struct {
				Response struct{ Status int }
			}
		}
		readReport(t, "generated/bruno.json", &report)
		return report[0].Results[0].Response.Status
	}
	return tried{isCollection: true, settled: send("waits", "waits/Open a wait.yml") == 201 && send("callback", "callback/Call back a flow.yml") == 200}
}

func readReport(t *testing.T, name string, into any) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(matrix, name))
	if err == nil {
		err = json.Unmarshal(text, into)
	}
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

var version = map[string]*regexp.Regexp{
	"package.json": regexp.MustCompile(`"(\S+)": "(\S+)"`),
	"ogen/go.mod":  regexp.MustCompile(`(?m)^\t(\S+) v(\S+)$`),
}

func versionOf(t *testing.T, g generator) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(matrix, g.pinned))
	if err != nil {
		t.Fatal(err)
	}
	for _, found := range version[g.pinned].FindAllSubmatch(text, -1) {
		if string(found[1]) == g.name {
			return string(found[2])
		}
	}
	t.Fatalf("%s has no version of %s", g.pinned, g.name)
	return ""
}
