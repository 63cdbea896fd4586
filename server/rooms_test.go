package server_test

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/flowcallback/flowcallback/"

// rules say what a package may never link, directly or not, and which mistake that
// prevents. A package that ends in /... stands for all below it, too.
var rules = []struct {
	packages  string
	forbidden []string
	except    []string
	because   string
}{
	{"openapi", []string{"net/http", "github.com/", "go.yaml.in/"}, nil, "the documents are bytes for everyone"},
	{"gen/callback", []string{"net/http", "github.com/labstack/", "github.com/getkin/", "github.com/oapi-codegen/", module}, nil, "the models are everyone's"},
	{"gen/waits", []string{"net/http", "github.com/labstack/", "github.com/getkin/", "github.com/oapi-codegen/", module}, []string{module + "gen/callback"}, "the models are everyone's; ids and results stand once, in gen/callback"},
	{"gen/callbackclient", []string{"github.com/labstack/", "github.com/getkin/", module + "gen/callbackserver"}, nil, "stubs and client never meet"},
	{"gen/waitsclient", []string{"github.com/labstack/", "github.com/getkin/", module + "gen/waitsserver"}, nil, "stubs and client never meet"},
	{"gen/callbackserver", []string{"github.com/getkin/", module + "gen/callbackclient", module + "gen/waits"}, nil, "stubs and client never meet"},
	{"gen/waitsserver", []string{"github.com/getkin/", module + "gen/waitsclient"}, nil, "stubs and client never meet"},
	{"openapi/signature", []string{"github.com/", "go.yaml.in/"}, nil, "both ends share it, so it is the standard library's alone"},
	{"server/auth", []string{"database/sql", "modernc.org/", "zombiezen.com/", "go.temporal.io/", module + "server/engine/", module + "client"}, uuidDriver, "who may call does not depend on where waits live"},
	{"openapi/contract", []string{"github.com/labstack/", module + "gen", module + "server", module + "client", "database/sql"}, uuidDriver, "the judge knows documents only"},
	{"server/engine", []string{"net/http", "database/sql", "github.com/labstack/", "github.com/getkin/", "modernc.org/", "zombiezen.com/", "go.temporal.io/", module + "openapi", module + "server/engine/"}, nil, "the promise is free of any means"},
	{"server/engine/sqlite", []string{"net/http", "github.com/labstack/", "github.com/getkin/", "go.temporal.io/", module + "openapi", module + "server/engine/temporal"}, nil, "an engine knows neither the server nor another engine"},
	{"server/engine/temporal", []string{"github.com/labstack/", "github.com/getkin/", "zombiezen.com/", "modernc.org/", "go.temporal.io/sdk/worker", module + "openapi", module + "server/engine/sqlite"}, nil, "an engine knows neither the server nor another engine, and a server links no worker"},
	{"server/engine/temporal/flow", []string{"github.com/labstack/", "github.com/getkin/", "zombiezen.com/", "modernc.org/", module + "openapi", module + "client", module + "server/engine/sqlite"}, nil, "a worker pays for no server"},
	{"server", []string{"database/sql", "modernc.org/", "zombiezen.com/", "go.temporal.io/", module + "server/engine/", module + "client", module + "gen/callbackclient", module + "gen/waitsclient"}, uuidDriver, "the server knows no engine's means"},
	{"client", []string{module + "server", module + "openapi", "github.com/labstack/", "github.com/getkin/", "database/sql", "modernc.org/", "zombiezen.com/", "go.temporal.io/", module + "gen/callbackserver", module + "gen/waitsserver"}, append(uuidDriver, module+"openapi/signature"), "whoever imports the client does not pay for the server"},
	{"client/precheck", []string{module + "server", "github.com/labstack/", "database/sql", "modernc.org/", "zombiezen.com/", "go.temporal.io/"}, uuidDriver, "the check costs the validator, not the server"},
	{"client/conformance", []string{module + "server", module + "client", "github.com/labstack/", "database/sql", "modernc.org/", "zombiezen.com/", "go.temporal.io/"}, uuidDriver, "it judges servers, and shares no line with ours but the contract"},
	{"client/cmd/flowcallback", []string{module + "server", "github.com/labstack/", "database/sql", "modernc.org/", "zombiezen.com/", "go.temporal.io/"}, uuidDriver, "the shell command is a client"},
}

// uuidDriver is what google/uuid, which the generator's runtime links, implements its Scan
// with: an interface, no database.
var uuidDriver = []string{"database/sql/driver"}

// importers say which packages of ours alone may import a thing themselves.
var importers = []struct {
	thing   string
	allowed []string
	because string
}{
	{"github.com/getkin/", []string{"openapi/contract"}, "there is one judge"},
	{"github.com/labstack/", []string{"gen/callbackserver", "gen/waitsserver", "server"}, "echo's next major version is one generator setting away"},
	{"database/sql", []string{"server/engine/sqlite"}, "storage is private to its engine"},
	{"modernc.org/", []string{"server/engine/sqlite"}, "storage is private to its engine"},
	{"zombiezen.com/", []string{"server/engine/sqlite"}, "storage is private to its engine"},
	{"go.temporal.io/", []string{"server/engine/temporal", "server/engine/temporal/flow", "server/engine/temporal/flow/example"}, "Temporal is private to its engine"},
	{"github.com/urfave/", []string{"server/cmd/flowcallbackd", "client/cmd/flowcallback"}, "only commands read arguments"},
	{"os/signal", []string{"server/cmd/flowcallbackd", "server/cmd/dist", "client/cmd/flowcallback", "server/engine/temporal/flow/example"}, "only commands handle signals"},
}

// pack is a package as `go list` tells of it.
type pack struct {
	ImportPath    string
	Imports, Deps []string
}

func listPackages(t *testing.T, arguments ...string) []pack {
	t.Helper()
	command := exec.Command("go", append([]string{"list", "-json=ImportPath,Imports,Deps"}, append(arguments, module+"...")...)...)
	output, err := command.Output()
	if err != nil {
		t.Fatalf("%v: %v", command, err)
	}
	var packages []pack
	for decoder := json.NewDecoder(strings.NewReader(string(output))); decoder.More(); {
		var p pack
		if err := decoder.Decode(&p); err != nil {
			t.Fatal(err)
		}
		packages = append(packages, p)
	}
	return packages
}

// violations returns the rules that the packages break, in a line each.
func violations(packages []pack) (lines []string) {
	within := func(path string, prefixes []string) bool {
		return slices.ContainsFunc(prefixes, func(prefix string) bool {
			return path == prefix || strings.HasPrefix(path, strings.TrimSuffix(prefix, "/")+"/")
		})
	}
	for _, p := range packages {
		own := strings.TrimPrefix(p.ImportPath, module)
		for _, rule := range rules {
			if own != rule.packages {
				continue
			}
			for _, dependency := range p.Deps {
				if within(dependency, rule.forbidden) && !within(dependency, rule.except) {
					lines = append(lines, own+" links "+dependency+", but "+rule.because)
				}
			}
		}
		for _, rule := range importers {
			for _, imported := range p.Imports {
				if within(imported, []string{rule.thing}) && !slices.Contains(rule.allowed, own) {
					lines = append(lines, own+" imports "+imported+", but "+rule.because)
				}
			}
		}
	}
	return lines
}

func TestRooms(t *testing.T) {
	for _, line := range violations(listPackages(t)) {
		t.Error(line)
	}
}

// Planted violations are found: each is a file that go list is told to see, though it is
// on no disk that is built.
func TestRoomsFindViolations(t *testing.T) {
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	for folder, imported := range map[string]string{
		"client":               "github.com/labstack/echo/v4",
		"openapi":              "net/http",
		"gen/callback":         module + "openapi",
		"gen/callbackclient":   module + "gen/callbackserver",
		"server":               module + "server/engine/sqlite",
		"server/engine":        "net/http",
		"server/engine/sqlite": module + "openapi/contract",
		"client/precheck":      module + "server",
		"openapi/contract":     "os/signal",
	} {
		name := filepath.Base(folder)
		if folder == "openapi/contract" {
			name = "contract"
		}
		source := filepath.Join(t.TempDir(), "planted.go")
		if err := os.WriteFile(source, []byte("package "+name+"\n\nimport _ \""+imported+"\"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		overlay, err := json.Marshal(map[string]map[string]string{"Replace": {filepath.Join(root, folder, "planted.go"): source}})
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(t.TempDir(), "overlay.json")
		if err := os.WriteFile(file, overlay, 0o600); err != nil {
			t.Fatal(err)
		}
		found := violations(listPackages(t, "-e", "-overlay", file))
		if !slices.ContainsFunc(found, func(line string) bool { return strings.HasPrefix(line, folder+" ") }) {
			t.Errorf("%s importing %s is not found; found: %q", folder, imported, found)
		}
	}
}

// Where a selector of the standard library may stand, by files of ours.
var places = []struct {
	selector func(pkg, name string) bool
	allowed  func(file string) bool
	because  string
}{
	{
		func(pkg, name string) bool { return pkg == "http" && failing[name] },
		func(file string) bool { return file == "server/problem.go" || strings.HasPrefix(file, "client/") },
		"problem.go alone chooses a failing status",
	},
	{
		func(pkg, name string) bool {
			return pkg == "os" && slices.Contains([]string{"Args", "Getenv", "LookupEnv", "Environ", "Exit", "Stdin", "Stdout", "Stderr"}, name)
		},
		func(file string) bool { return strings.Contains(file, "/cmd/") || strings.Contains(file, "/example/") },
		"only commands know the process they run in",
	},
}

// failing are the names of net/http's statuses from 400 on that a server could choose.
var failing = map[string]bool{
	"StatusBadRequest": true, "StatusUnauthorized": true, "StatusForbidden": true, "StatusNotFound": true, "StatusMethodNotAllowed": true,
	"StatusRequestTimeout": true, "StatusConflict": true, "StatusRequestEntityTooLarge": true, "StatusUnsupportedMediaType": true,
	"StatusTooManyRequests": true, "StatusInternalServerError": true, "StatusNotImplemented": true, "StatusServiceUnavailable": true,
}

// misplaced returns the selectors in source that do not belong into file, in a line each.
func misplaced(t *testing.T, file string, source any) (lines []string) {
	t.Helper()
	files := token.NewFileSet()
	tree, err := parser.ParseFile(files, file, source, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.ToSlash(strings.TrimPrefix(file, "../"))
	ast.Inspect(tree, func(n ast.Node) bool {
		selector, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		if pkg, ok := selector.X.(*ast.Ident); ok {
			for _, place := range places {
				if place.selector(pkg.Name, selector.Sel.Name) && !place.allowed(name) {
					lines = append(lines, fmt.Sprintf("%s: %s.%s, but %s", files.Position(n.Pos()), pkg.Name, selector.Sel.Name, place.because))
				}
			}
		}
		return true
	})
	return lines
}

func TestPlaces(t *testing.T) {
	for _, room := range []string{"../openapi", "../server", "../client"} {
		err := filepath.WalkDir(room, func(path string, _ os.DirEntry, err error) error {
			if err == nil && strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go") {
				for _, line := range misplaced(t, path, nil) {
					t.Error(line)
				}
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	planted := "package server\n\nvar a, b = http.StatusBadRequest, os.Getenv"
	if found := misplaced(t, "../server/handler.go", planted); len(found) != 2 {
		t.Errorf("planted selectors found: %q, want 2", found)
	}
}
