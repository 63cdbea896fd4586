package interop_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const oasdiff = "github.com/oasdiff/oasdiff@v1.33.0"

// A change is how much of a version has to change, by semantic versioning.
type change int

const (
	none  change = iota
	patch        // only words
	minor        // what old clients and servers need not know
	major        // what can break one
)

var inWords = []string{"not changed", "changed in words", "got something new", "changed in a way that can break a client or a server"}

// versions demands a version and a line in the changelog for what changed since the last release.
func versions(t *testing.T) {
	changelog, err := os.ReadFile(document(t, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"callback", "waits"} {
		base, now := readDocument(t, "baseline/"+name+".json"), readDocument(t, "published/"+name+".json")
		since, why := changeOf(t, base, now)
		if fault := undeclared(name, since, versionIn(base), versionIn(now), string(changelog)); fault != "" {
			t.Errorf("%s.yaml has %s since version %s: %s\n%s", name, inWords[since], versionIn(base), fault, strings.Join(why, "\n"))
		}
	}
}

// undeclared returns what is missing for a change; nothing is "".
func undeclared(name string, c change, base, now, changelog string) string {
	if c != none && !isBumped(c, base, now) {
		return fmt.Sprintf("info.version is %s, and needs another %s version", now, []string{"", "patch, minor or major", "minor or major", "major"}[c])
	}
	if line := regexp.MustCompile(`(?m)^\| ` + name + ` \| ` + regexp.QuoteMeta(now) + ` \| .+ \|$`); !line.MatchString(changelog) {
		return fmt.Sprintf("openapi/README.md has no line for %s %s under Versions", name, now)
	}
	return ""
}

var threeNumbers = regexp.MustCompile(`^([0-9]+)\.([0-9]+)\.([0-9]+)$`)

// isBumped reports whether a version is enough for a change since another one.
func isBumped(c change, base, now string) bool {
	numbers := func(version string) (all []int) {
		for _, part := range threeNumbers.FindStringSubmatch(version)[1:] {
			n, _ := strconv.Atoi(part)
			all = append(all, n)
		}
		return all
	}
	if !threeNumbers.MatchString(base) || !threeNumbers.MatchString(now) {
		return false
	}
	return slices.Compare(numbers(now)[:major+1-c], numbers(base)[:major+1-c]) > 0
}

// changeOf compares two documents, with oasdiff and by hand. What oasdiff takes for harmless is not trusted: a rule that
// is not the same counts as what can break, unless it was added where old clients and servers do not meet it.
func changeOf(t *testing.T, base, now map[string]any) (c change, why []string) {
	t.Helper()
	found := func(level change, reason string) {
		c = max(c, level)
		why = append(why, reason)
	}
	if !reflect.DeepEqual(withoutVersion(base), withoutVersion(now)) {
		found(patch, "the documents are not the same")
	}
	rulesBefore, rulesNow := rulesOf(base), rulesOf(now)
	if reflect.DeepEqual(rulesBefore, rulesNow) {
		return c, why
	}
	compare(rulesBefore, rulesNow, place{}, found)
	for _, reason := range breakingByOasdiff(t, base, now) {
		found(major, "oasdiff: "+reason)
	}
	slices.Sort(why)
	return c, slices.Compact(why)
}

// place is where in a document a part is.
type place struct {
	pointer string
	named   bool // the members are named freely, and one more is harmless
	isPath  bool // the members are operations
}

// named are the members whose members are named freely.
var named = regexp.MustCompile(`^(paths|responses|properties|headers|links|schemas|parameters|requestBodies|securitySchemes|codes)$`)

// operation are the names of operations; succeeds are the responses that clients cannot take for a failure.
var (
	operation = regexp.MustCompile(`^(get|put|post|delete|options|head|patch|trace)$`)
	succeeds  = regexp.MustCompile(`^([123]..|default)$`)
)

// compare finds how much changed between two parts of documents.
func compare(base, now any, at place, found func(change, string)) {
	before, ok1 := base.(map[string]any)
	after, ok2 := now.(map[string]any)
	if !ok1 || !ok2 {
		if !reflect.DeepEqual(base, now) {
			found(major, at.pointer+" is not the same")
		}
		return
	}
	for name, old := range before {
		pointer := at.pointer + "/" + name
		if current, is := after[name]; is {
			compare(old, current, place{
				pointer: pointer, named: !at.named && named.MatchString(name), isPath: at.named && strings.HasSuffix(at.pointer, "/paths"),
			}, found)
			continue
		}
		found(major, pointer+" is gone")
	}
	for name, added := range after {
		if _, was := before[name]; was {
			continue
		}
		level := major
		parameter, _ := added.(map[string]any)
		switch {
		case at.named && strings.HasSuffix(at.pointer, "/responses") && succeeds.MatchString(name):
		case at.named && strings.HasSuffix(at.pointer, "/parameters") && parameter["required"] == true:
		case at.named, at.isPath && operation.MatchString(name), name == "deprecated":
			level = minor
		}
		found(level, at.pointer+"/"+name+" is new")
	}
}

// breakingByOasdiff returns what oasdiff says can break a client or a server.
func breakingByOasdiff(t *testing.T, base, now map[string]any) (texts []string) {
	t.Helper()
	folder := t.TempDir()
	for name, content := range map[string]any{"base.json": base, "now.json": now} {
		text, err := json.Marshal(content)
		if err == nil {
			err = os.WriteFile(filepath.Join(folder, name), text, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	command := exec.CommandContext(t.Context(), "go", "run", oasdiff, "breaking", "--format", "json", filepath.Join(folder, "base.json"), filepath.Join(folder, "now.json"))
	var stderr bytes.Buffer
	command.Stderr = &stderr
	output, err := command.Output()
	if err != nil {
		t.Fatalf("oasdiff: %v\n%s", err, stderr.Bytes())
	}
	var changes []struct {
		Text, Operation, Path string
		Level                 int
	}
	if err := json.Unmarshal(output, &changes); err != nil {
		t.Fatalf("oasdiff: %v\n%s", err, output)
	}
	for _, one := range changes {
		if one.Level > 1 {
			texts = append(texts, strings.TrimSpace(one.Operation+" "+one.Path+" "+one.Text))
		}
	}
	return texts
}

// ofWords are the members of a document that state no rule; isRule are the extensions that state one.
var (
	ofWords = regexp.MustCompile(`^(description|summary|examples?|title|contact|license|version|externalDocs|x-.*)$`)
	isRule  = regexp.MustCompile(`^x-(max-.*|output-schema|refuse-unknown-parameters|action|enum-varnames)$`)
	isSet   = regexp.MustCompile(`^(enum|required)$`)
)

// rulesOf copies a document without what states no rule, and with its lists in the form in which they are compared.
func rulesOf(document map[string]any) map[string]any {
	rules := rulesIn(document, document, false).(map[string]any)
	if codes := codesOf(document); len(codes) > 0 { // the lists of ErrorCode belong together
		schemas := rules["components"].(map[string]any)["schemas"].(map[string]any)
		schemas["ErrorCode"] = map[string]any{"codes": codes}
	}
	return rules
}

// rulesIn copies a part of a document. The members of areNames are named freely.
func rulesIn(document map[string]any, part any, areNames bool) any {
	switch part := part.(type) {
	case map[string]any:
		rules := map[string]any{}
		for name, value := range part {
			list, isList := value.([]any)
			switch {
			case areNames:
				rules[name] = rulesIn(document, value, false)
			case ofWords.MatchString(name) && !isRule.MatchString(name):
			case isList && isSet.MatchString(name):
				rules[name] = slices.SortedFunc(slices.Values(list), func(a, b any) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
			case isList && name == "parameters":
				rules[name] = rulesIn(document, byName(document, list), true)
			default:
				rules[name] = rulesIn(document, value, named.MatchString(name))
			}
		}
		return rules
	case []any:
		rules := make([]any, len(part))
		for i, value := range part {
			rules[i] = rulesIn(document, value, false)
		}
		return rules
	default:
		return part
	}
}

// byName returns a list of parameters by what identifies them, with their references followed.
func byName(document map[string]any, list []any) map[string]any {
	parameters := map[string]any{}
	for _, one := range list {
		parameter := one.(map[string]any)
		if reference, ok := parameter["$ref"].(string); ok {
			var at any = document
			for _, name := range strings.Split(strings.TrimPrefix(reference, "#/"), "/") {
				at = at.(map[string]any)[name]
			}
			parameter = at.(map[string]any)
		}
		parameters[fmt.Sprint(parameter["in"], " ", parameter["name"])] = parameter
	}
	return parameters
}

// codesOf returns the error codes with their statuses and the names of their constants.
func codesOf(document map[string]any) map[string]any {
	schema, _ := document["components"].(map[string]any)["schemas"].(map[string]any)["ErrorCode"].(map[string]any)
	codes, _ := schema["enum"].([]any)
	byCode := map[string]any{}
	for i, code := range codes {
		said := map[string]any{}
		for _, list := range []string{"x-statuses", "x-enum-varnames"} {
			if values, ok := schema[list].([]any); ok && i < len(values) {
				said[list] = values[i]
			}
		}
		byCode[fmt.Sprint(code)] = said
	}
	return byCode
}

func readDocument(t *testing.T, name string) map[string]any {
	t.Helper()
	text, err := os.ReadFile(document(t, name))
	if err != nil {
		t.Fatal(err)
	}
	return parsed(t, string(text))
}

func parsed(t *testing.T, text string) (content map[string]any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &content); err != nil {
		t.Fatal(err)
	}
	return content
}

func versionIn(document map[string]any) string {
	return fmt.Sprint(document["info"].(map[string]any)["version"])
}

func withoutVersion(document map[string]any) map[string]any {
	document = maps.Clone(document)
	info := maps.Clone(document["info"].(map[string]any))
	delete(info, "version")
	document["info"] = info
	return document
}

// changes shows that each kind of change is taken for what it is.
func changes(t *testing.T) {
	text, err := os.ReadFile("testdata/versions.json") // as the contract was once; it need not follow
	if err != nil {
		t.Fatal(err)
	}
	base := parsed(t, string(text))
	for what, test := range map[string]struct {
		before, after string
		want          change
	}{
		"another version":          {`"version": "1.0.0"`, `"version": "7.0.0"`, none},
		"another word":             {"Call back a flow", "Call a flow back", patch},
		"another example":          {`"payment declined"`, `"no money"`, patch},
		"a new optional member":    {`"properties": {` + "\n" + `          "result": {`, `"properties": {"note": {"type": "string"}, "result": {`, minor},
		"a new error code":         {`"FSS.0503"` + "\n", `"FSS.0503", "FSS.0504"` + "\n", minor},
		"a new response":           {`"500": {`, `"409": {"description": "x"}, "500": {`, minor},
		"a shorter length":         {`"maxLength": 512`, `"maxLength": 511`, major},
		"a new mandatory member":   {`"required": [` + "\n" + `          "result",`, `"required": [` + "\n" + `          "error", "result",`, major},
		"a response that loses":    {`"required": [` + "\n" + `          "execution_id"`, `"required": [` + "\n" + `          "execution"`, major},
		"a value less":             {`"enum": [` + "\n" + `          "success",` + "\n" + `          "fail"`, `"enum": [` + "\n" + `          "success"`, major},
		"a lower depth":            {`"x-max-depth": 50`, `"x-max-depth": 49`, major},
		"a depth less":             {`"x-max-depth": 50,`, ``, major},
		"another not":              {`"not": {`, `"x-not": {`, major},
		"an error code less":       {`"FLOWCALLBACK.EXPIRED",` + "\n" + `          "FLOWCALLBACK.CANCELLED"`, `"FLOWCALLBACK.CANCELLED"`, major},
		"another status of a code": {"413,", "414,", major},
		"another action":           {`"x-action": "callback"`, `"x-action": "wait"`, major},
		"a member that is closed":  {`"additionalProperties": true`, `"additionalProperties": false`, major},
		"another kind of security": {`"X-Auth-Token"`, `"X-Token"`, major},
		"another operation id":     {`"createCallbackWorkflow"`, `"createCallback"`, major},
		"another path":             {`/fgs/workflows/`, `/fgs/flows/`, major},
		"another server":           {`"http://127.0.0.1:8080"`, `"http://127.0.0.1:8080/api"`, major},
		"another tag":              {`"tags": [` + "\n" + `          "callback"`, `"tags": [` + "\n" + `          "resume"`, major},
		"another constant":         {`"CodeInvalid"`, `"CodeWrong"`, major},
		"another media type":       {`"application/json": {`, `"application/problem+json": {`, major},
		"a response less":          {`"404": {`, `"x-404": {`, major},
		"another success":          {`"404": {`, `"202": {"description": "x"}, "404": {`, major},
		"a credential less":        {`"signature": []`, `"token": []`, major},
		"a mandatory parameter":    {`"parameters": [`, `"parameters": [{"name": "q", "in": "query", "required": true, "schema": {"type": "string"}},`, major},
		"a new parameter":          {`"parameters": [`, `"parameters": [{"name": "q", "in": "query", "schema": {"type": "string"}},`, minor},
		"a member that is read":    {`"type": "object",` + "\n" + `        "x-go-name": "Request"`, `"type": "object", "readOnly": true, "x-go-name": "Request"`, major},
		"values in another order":  {`"enum": [` + "\n" + `          "success",` + "\n" + `          "fail"`, `"enum": [` + "\n" + `          "fail",` + "\n" + `          "success"`, patch},
		"a deprecated operation":   {`"operationId": "createCallbackWorkflow",`, `"operationId": "createCallbackWorkflow", "deprecated": true,`, minor},
		"an unknown extension":     {`"type": "object",`, `"type": "object", "x-unknown": 1,`, patch},
	} {
		changed := strings.Replace(string(text), test.before, test.after, 1)
		if changed == string(text) && test.want != none {
			t.Errorf("%s: nothing to replace", what)
			continue
		}
		if got, why := changeOf(t, base, parsed(t, changed)); got != test.want {
			t.Errorf("%s: %s, want %s\n%s", what, inWords[got], inWords[test.want], strings.Join(why, "\n"))
		}
	}
	// What is new does not hide what oasdiff does not see.
	both := strings.NewReplacer(`"additionalProperties": true`, `"additionalProperties": {"type": "string"}`, `"500": {`, `"409": {"description": "x"}, "500": {`).Replace(string(text))
	if got, why := changeOf(t, base, parsed(t, both)); got != major {
		t.Errorf("a new response and a narrower output: %s\n%s", inWords[got], strings.Join(why, "\n"))
	}
	if got, _ := changeOf(t, base, parsed(t, strings.ReplaceAll(string(text), "CallbackError", "Refusal"))); got != major {
		t.Errorf("another name of a schema: %s", inWords[got])
	}
	for version, needs := range map[string]change{"1.0.1": patch, "1.1.0": minor, "2.0.0": major} {
		for _, c := range []change{patch, minor, major} {
			if is := isBumped(c, "1.0.0", version); is != (c <= needs) {
				t.Errorf("1.0.0 to %s for what has %s: %v", version, inWords[c], is)
			}
		}
	}
	log := "| callback | 1.0.0 | first |\n| callback | 1.0.1 | words |\n"
	for _, test := range []struct {
		c   change
		now string
		ok  bool
	}{{patch, "1.0.1", true}, {patch, "1.0.0", false}, {minor, "1.0.1", false}, {patch, "1.0.2", false}, {patch, "0.9.0", false}, {patch, "1.0.1 x", false}, {none, "1.0.0", true}} {
		if fault := undeclared("callback", test.c, "1.0.0", test.now, log); (fault == "") != test.ok {
			t.Errorf("%s as %s: %q", inWords[test.c], test.now, fault)
		}
	}
}
