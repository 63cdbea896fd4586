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
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The architecture that ARCHITECTURE.md describes, as rules for imports. Every package of the
// module must have a rule. A new package fails TestImports until it gets one here.

const module = "github.com/flowcallback/flowcallback/"

// A rule says what packages may import.
type rule struct {
	// packages is a package, or all packages below a path if it ends in "/...". The most
	// specific rule for a package applies.
	packages string
	// own lists the packages of this module that it may import itself.
	own []string
	// unlinked lists import paths, and everything below them, that it must not link,
	// directly or indirectly.
	unlinked []string
	// because names the mistake that the rule prevents.
	because string
}

// heavy are the dependencies that only the server or an engine needs.
var heavy = []string{"github.com/labstack", "github.com/ncruces", "github.com/jackc", "go.temporal.io", "github.com/prometheus"}

// and returns a list with more elements.
func and(list []string, more ...string) []string { return slices.Concat(list, more) }

var rules = []rule{
	{"openapi", nil, and(heavy, "github.com", "net/http"), "the documents are bytes that everyone can use"},
	{"openapi/contract", []string{"openapi", "gen/callback"}, heavy, "the validator knows only the documents"},
	{"openapi/edges", []string{"openapi"}, and(heavy, "github.com", "net/http"), "what tests send must not depend on the validator that they test"},
	{"openapi/signature", nil, and(heavy, "github.com"), "client and server share it, so it uses only the standard library"},

	{"gen", nil, nil, "it has only the go:generate lines"},
	{"gen/callback", nil, and(heavy, "github.com", "net/http"), "everyone uses the models, so they use only the standard library"},
	{"gen/waits", []string{"gen/callback"}, and(heavy, "net/http", "github.com/getkin", "github.com/oapi-codegen"), "everyone uses the models, so they use only the standard library"},
	{"gen/callbackclient", []string{"gen/callback"}, and(heavy, "github.com/getkin"), "a client must not link the server's stubs"},
	{"gen/waitsclient", []string{"gen/callback", "gen/waits"}, and(heavy, "github.com/getkin"), "a client must not link the server's stubs"},
	{"gen/callbackserver", []string{"gen/callback"}, []string{"github.com/getkin"}, "the stubs must not link a client or a validator"},
	{"gen/waitsserver", []string{"gen/callback", "gen/waits"}, []string{"github.com/getkin"}, "the stubs must not link a client or a validator"},

	{
		"server",
		[]string{"gen/callback", "gen/waits", "gen/callbackserver", "gen/waitsserver", "openapi", "openapi/contract", "server/attempts", "server/console", "server/engine"},
		[]string{"github.com/ncruces", "go.temporal.io"},
		"the handler works over any engine",
	},
	{"server/attempts", nil, []string{"github.com/labstack", "github.com/ncruces", "go.temporal.io", "github.com/prometheus"}, "it counts, and knows neither the server nor what is guessed"},
	{"server/auth", []string{"openapi/signature", "server", "server/attempts"}, []string{"github.com/ncruces", "go.temporal.io"}, "authentication does not depend on the engine"},
	{"server/console", nil, and(heavy, "github.com"), "the pages are files"},
	{"server/engine", []string{"gen/callback", "gen/waits"}, and(heavy, "net/http", "github.com", "database/sql"), "the interfaces and their semantics are free of any technology"},
	{"server/engine/store", []string{"gen/waits", "server/engine"}, and(heavy, "net/http", "github.com", "database/sql"), "what engines share knows no database"},
	{"server/engine/...", []string{"gen/callback", "gen/waits", "server/engine"}, []string{"github.com/labstack", "github.com/getkin"}, "an engine knows neither the server nor another engine"},
	{"server/engine/enginetest", []string{"gen/callback", "gen/waits", "server/engine"}, heavy, "the suite works for any engine"},
	{"server/engine/sqlite", []string{"gen/callback", "gen/waits", "server/engine", "server/engine/store"}, []string{"github.com/labstack", "github.com/getkin", "go.temporal.io", "github.com/jackc"}, "an engine knows neither the server nor another engine"},
	{"server/engine/postgres", []string{"gen/callback", "gen/waits", "server/engine", "server/engine/store"}, []string{"github.com/labstack", "github.com/getkin", "go.temporal.io", "github.com/ncruces"}, "an engine knows neither the server nor another engine"},
	{"server/engine/postgres/postgrestest", nil, []string{"github.com/labstack", "github.com/getkin", "go.temporal.io", "github.com/ncruces", "github.com/prometheus"}, "it starts servers, and knows nothing of the engine"},
	{"server/engine/temporal", []string{"gen/callback", "gen/waits", "server/engine"}, []string{"github.com/labstack", "github.com/getkin", "github.com/ncruces", "go.temporal.io/sdk/worker"}, "an engine knows neither the server nor another engine, and a server must not link a worker"},
	{"server/engine/temporal/flow", []string{"gen/callback", "gen/waits", "server/engine"}, []string{"github.com/labstack", "github.com/getkin", "github.com/ncruces"}, "a worker must not link the server"},
	{"server/engine/temporal/flow/example", []string{"gen/waits", "server/engine/temporal/flow"}, []string{"github.com/labstack", "github.com/getkin"}, "the example is what a user writes"},
	{
		"server/cmd/flowcallbackd",
		[]string{"gen/callback", "gen/waits", "openapi/contract", "server", "server/auth", "server/engine", "server/engine/postgres", "server/engine/sqlite", "server/engine/store", "server/engine/temporal"},
		nil, "the server command must not need the client",
	},
	{"server/cmd/postgrestrial", []string{"server/engine/postgres/postgrestest"}, []string{"github.com/labstack", "github.com/ncruces", "go.temporal.io", "github.com/prometheus"}, "it starts a database, and knows nothing of the product"},
	{"server/cmd/benchtable", nil, heavy, "a tool of the build needs nothing of the product"},
	{"server/cmd/publish", nil, heavy, "it reads the documents as files, because what is embedded is what it writes"},
	{"server/cmd/dist", nil, heavy, "a tool of the build needs nothing of the product"},
	{"server/documents", nil, nil, "it has only tests"},
	{"server/servertest", nil, heavy, "tests run the real commands, not their packages"},

	{"client", []string{"gen/callback", "gen/waits", "gen/callbackclient", "gen/waitsclient", "openapi/signature"}, and(heavy, "github.com/getkin"), "programs that import the client must not pay for the server or the validator"},
	{"client/precheck", []string{"openapi/contract"}, heavy, "the check costs the validator, not the server"},
	{"client/conformance", []string{"gen/callback", "openapi/contract", "openapi/edges"}, heavy, "it tests servers, so it must share nothing with ours except the contract"},
	{"client/integration", nil, nil, "it has only tests"},
	{
		"client/cmd/flowcallback",
		[]string{"client", "client/conformance", "client/precheck", "gen/callback", "gen/waits", "openapi", "openapi/signature"},
		heavy, "the command is a client",
	},
}

// exclusive lists import paths, with everything below them, and the only packages that may
// import them themselves.
var exclusive = []struct {
	path    string
	only    []string
	because string
}{
	{"github.com/getkin", []string{"openapi/contract"}, "there is one validator"},
	{"github.com/labstack", []string{"gen/callbackserver", "gen/waitsserver", "server"}, "the web framework stays in the handler"},
	{"database/sql", nil, "storage is private to its engine"},
	{"github.com/ncruces", []string{"server/engine/sqlite"}, "storage is private to its engine"},
	{"github.com/jackc", []string{"server/engine/postgres", "server/engine/postgres/postgrestest"}, "storage is private to its engine"},
	{"go.temporal.io", []string{"server/engine/temporal", "server/engine/temporal/flow", "server/engine/temporal/flow/example"}, "Temporal is private to its engine"},
	{"github.com/prometheus", []string{"server", "server/engine/sqlite", "server/engine/postgres", "server/cmd/flowcallbackd"}, "a package that has metrics registers its own"},
	{"github.com/urfave", []string{"server/cmd/flowcallbackd", "client/cmd/flowcallback"}, "only commands read arguments"},
	{"os/signal", []string{"server/cmd/flowcallbackd", "server/cmd/dist", "server/cmd/postgrestrial", "client/cmd/flowcallback", "server/engine/temporal/flow/example"}, "only commands handle signals"},
	{
		"net/http",
		[]string{
			"gen/callbackclient", "gen/callbackserver", "gen/waitsclient", "gen/waitsserver", "openapi/contract", "openapi/signature", "server", "server/auth",
			"server/cmd/flowcallbackd", "client", "client/conformance", "client/precheck", "client/cmd/flowcallback",
		},
		"engines, models and documents know nothing of HTTP",
	},
}

// howTo is the end of each failure.
const howTo = "\n\tIf the import is right, change the rules in server/architecture_test.go and say why in server/ARCHITECTURE.md."

// goPackage is a package as `go list` describes it.
type goPackage struct {
	ImportPath    string
	Imports, Deps []string
}

// name returns the path of the package within the module.
func (p goPackage) name() string { return strings.TrimPrefix(p.ImportPath, module) }

func listPackages(t *testing.T, arguments ...string) []goPackage {
	t.Helper()
	command := exec.Command("go", append([]string{"list", "-json=ImportPath,Imports,Deps"}, append(arguments, module+"...")...)...)
	output, err := command.Output()
	if err != nil {
		t.Fatalf("%v: %v", command, err)
	}
	var packages []goPackage
	for decoder := json.NewDecoder(strings.NewReader(string(output))); decoder.More(); {
		var p goPackage
		if err := decoder.Decode(&p); err != nil {
			t.Fatal(err)
		}
		packages = append(packages, p)
	}
	return packages
}

// within reports whether path is one of the prefixes, or below one.
func within(path string, prefixes []string) bool {
	return slices.ContainsFunc(prefixes, func(prefix string) bool { return path == prefix || strings.HasPrefix(path, prefix+"/") })
}

// ruleOf returns the most specific rule for a package.
func ruleOf(name string) (found rule, ok bool) {
	for _, r := range rules {
		if r.packages == name {
			return r, true
		}
		below, isPattern := strings.CutSuffix(r.packages, "/...")
		if isPattern && strings.HasPrefix(name, below+"/") && len(r.packages) > len(found.packages) {
			found, ok = r, true
		}
	}
	return found, ok
}

// violations returns a line for each rule that a package breaks.
func violations(packages []goPackage) (lines []string) {
	for _, p := range packages {
		r, ok := ruleOf(p.name())
		if !ok {
			lines = append(lines, p.name()+" has no rule; add one that says what it may import")
			continue
		}
		for _, imported := range p.Imports {
			if own, isOwn := strings.CutPrefix(imported, module); isOwn && !slices.Contains(r.own, own) {
				lines = append(lines, p.name()+" imports "+own+", but "+r.because)
			}
			for _, e := range exclusive {
				if within(imported, []string{e.path}) && !slices.Contains(e.only, p.name()) {
					lines = append(lines, p.name()+" imports "+imported+", but "+e.because)
				}
			}
		}
		for _, dependency := range p.Deps {
			if within(dependency, r.unlinked) && !strings.HasPrefix(dependency, module) {
				lines = append(lines, p.name()+" links "+dependency+", but "+r.because)
			}
		}
	}
	return lines
}

func TestImports(t *testing.T) {
	for _, line := range violations(listPackages(t)) {
		t.Error(line + howTo)
	}
}

// A rule that names no package would protect nothing.
func TestRulesNameExistingPackages(t *testing.T) {
	var names []string
	for _, p := range listPackages(t) {
		names = append(names, p.name())
	}
	exists := func(name string) bool {
		below, isPattern := strings.CutSuffix(name, "/...")
		return slices.ContainsFunc(names, func(n string) bool { return n == name || isPattern && strings.HasPrefix(n, below+"/") })
	}
	for _, r := range rules {
		for _, name := range append(r.own, r.packages) {
			if !exists(name) {
				t.Errorf("the rule for %s names %s, which does not exist: remove it", r.packages, name)
			}
		}
	}
	for _, e := range exclusive {
		for _, name := range e.only {
			if !exists(name) {
				t.Errorf("the rule for imports of %s names %s, which does not exist: remove it", e.path, name)
			}
		}
	}
}

// A planted file breaks rules. `go list` sees it through an overlay, so it is never built.
func TestImportsFindsPlantedViolations(t *testing.T) {
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	for folder, test := range map[string]struct {
		name, imports string
		lines         int
	}{
		"client":                {"client", "github.com/labstack/echo/v4", 2},
		"openapi":               {"openapi", "net/http", 2},
		"gen/callback":          {"callback", module + "openapi", 1},
		"gen/callbackclient":    {"callbackclient", module + "gen/callbackserver", 2},
		"server":                {"server", module + "server/engine/sqlite", 2},
		"server/engine":         {"engine", "net/http", 2},
		"server/engine/sqlite":  {"sqlite", module + "openapi/contract", 2},
		"server/engine/planted": {"planted", "net/http " + module + "server " + module + "server/engine/sqlite", 3},
		"client/precheck":       {"precheck", module + "server", 2},
		"openapi/contract":      {"contract", "os/signal", 1},
		"client/newpackage":     {"newpackage", "fmt", 1},
		"server/auth/ldap":      {"ldap", "fmt", 1},
	} {
		source := "package " + test.name + "\n"
		for _, imported := range strings.Fields(test.imports) {
			source += fmt.Sprintf("import _ %q\n", imported)
		}
		planted := filepath.Join(t.TempDir(), "planted.go")
		if err := os.WriteFile(planted, []byte(source), 0o600); err != nil {
			t.Fatal(err)
		}
		overlay, err := json.Marshal(map[string]map[string]string{"Replace": {filepath.Join(root, folder, "planted.go"): planted}})
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(t.TempDir(), "overlay.json")
		if err := os.WriteFile(file, overlay, 0o600); err != nil {
			t.Fatal(err)
		}
		var found []string
		for _, line := range violations(listPackages(t, "-e", "-overlay", file)) {
			if strings.HasPrefix(line, folder+" ") {
				found = append(found, line)
			}
		}
		if len(found) < test.lines {
			t.Errorf("%s importing %s: found %q, want at least %d violations", folder, test.imports, found, test.lines)
		}
	}
}

// places says in which files an expression may be used.
var places = []struct {
	matches func(ast.Node) bool
	allowed func(file string) bool
	because string
}{
	{
		func(n ast.Node) bool { return isSelector(n, "http", failingStatus) },
		func(file string) bool { return file == "server/errors.go" || strings.HasPrefix(file, "client/") },
		"only server/errors.go chooses the status of a failure",
	},
	{
		func(n ast.Node) bool { return isSelector(n, "os", ofProcess) },
		func(file string) bool { return strings.Contains(file, "/cmd/") || strings.Contains(file, "/example/") },
		"only commands use the process that they run in",
	},
	{
		func(n ast.Node) bool {
			literal, ok := n.(*ast.BasicLit)
			return ok && literal.Kind == token.STRING && errorCodeLiteral.MatchString(literal.Value)
		},
		func(string) bool { return false },
		"error codes are listed in openapi/callback.yaml; use the constants of gen/callback",
	},
}

var (
	ofProcess        = regexp.MustCompile(`^(Args|Getenv|LookupEnv|Environ|Exit|Stdin|Stdout|Stderr)$`)
	failingStatus    = regexp.MustCompile(`^Status(BadRequest|Unauthorized|Forbidden|NotFound|MethodNotAllowed|RequestTimeout|Conflict|Gone|RequestEntityTooLarge|UnsupportedMediaType|MisdirectedRequest|TooManyRequests|InternalServerError|NotImplemented|ServiceUnavailable)$`)
	errorCodeLiteral = regexp.MustCompile(`^"(FGS|FSS|APIGW|FLOWCALLBACK)\.[A-Z0-9_]+"$`)
)

// isSelector reports whether n is pkg.name with a matching name.
func isSelector(n ast.Node, pkg string, name *regexp.Regexp) bool {
	selector, ok := n.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	x, ok := selector.X.(*ast.Ident)
	return ok && x.Name == pkg && name.MatchString(selector.Sel.Name)
}

// misplaced returns a line for each expression in source that must not be in the file.
func misplaced(t *testing.T, file string, source any) (lines []string) {
	t.Helper()
	files := token.NewFileSet()
	tree, err := parser.ParseFile(files, file, source, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.ToSlash(strings.TrimPrefix(file, "../"))
	ast.Inspect(tree, func(n ast.Node) bool {
		for _, place := range places {
			if n != nil && place.matches(n) && !place.allowed(name) {
				lines = append(lines, fmt.Sprintf("%s: %s", files.Position(n.Pos()), place.because))
			}
		}
		return true
	})
	return lines
}

func TestPlaces(t *testing.T) {
	for _, folder := range []string{"../openapi", "../server", "../client"} {
		err := filepath.WalkDir(folder, func(path string, entry os.DirEntry, err error) error {
			if err == nil && (entry.Name() == "node_modules" || entry.Name() == "matrix") { // code that others generate
				return filepath.SkipDir
			}
			if err == nil && strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go") {
				for _, line := range misplaced(t, path, nil) {
					t.Error(line + howTo)
				}
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	planted := "package server\n\nvar a, b, c = http.StatusBadRequest, os.Getenv, \"FSS.0503\""
	if found := misplaced(t, "../server/callback.go", planted); len(found) != 3 {
		t.Errorf("planted expressions: found %q, want 3", found)
	}
}
