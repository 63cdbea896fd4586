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

func isBumped(c change, base, now string) bool {
	var from, to [3]int
	for text, numbers := range map[string]*[3]int{base: &from, now: &to} {
		if n, err := fmt.Sscanf(text, "%d.%d.%d", &numbers[0], &numbers[1], &numbers[2]); n != 3 || err != nil {
			return false
		}
	}
	return slices.Compare(to[:major+1-c], from[:major+1-c]) > 0
}

// changeOf compares two documents: with oasdiff, by hand what it does not see, and with caution what is left.
func changeOf(t *testing.T, base, now map[string]any) (c change, why []string) {
	t.Helper()
	found := func(level change, reason string) {
		c = max(c, level)
		if !slices.Contains(why, reason) {
			why = append(why, reason)
		}
	}
	if !reflect.DeepEqual(withoutVersion(base), withoutVersion(now)) {
		found(patch, "the documents are not the same")
	}
	rulesBefore, rulesNow := withoutWords(base, false).(map[string]any), withoutWords(now, false).(map[string]any)
	if reflect.DeepEqual(rulesBefore, rulesNow) {
		return c, why
	}
	for level, reasons := range seenByOasdiff(t, base, now) {
		for _, reason := range reasons {
			found(level, reason)
		}
	}
	for _, pointer := range unseenLimits(rulesBefore, rulesNow) {
		found(major, pointer+" is not the same")
	}
	before, after := codesOf(rulesBefore), codesOf(rulesNow)
	for code, status := range before {
		if after[code] != status {
			found(major, fmt.Sprintf("error code %s had status %v, and has %v", code, status, after[code]))
		}
	}
	for code := range after {
		if _, known := before[code]; !known {
			found(minor, "error code "+code+" is new")
		}
	}
	if c < minor {
		found(major, "oasdiff does not see what changed, so it counts as what can break")
	}
	slices.Sort(why)
	return c, why
}

func seenByOasdiff(t *testing.T, base, now map[string]any) map[change][]string {
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
	command := exec.CommandContext(t.Context(), "go", "run", oasdiff, "changelog", "--format", "json", filepath.Join(folder, "base.json"), filepath.Join(folder, "now.json"))
	var stderr bytes.Buffer
	command.Stderr = &stderr
	output, err := command.Output()
	if err != nil {
		t.Fatalf("oasdiff: %v\n%s", err, stderr.Bytes())
	}
	var changes []struct {
		ID, Text, Operation, Path string
		Level                     int
	}
	if err := json.Unmarshal(output, &changes); err != nil {
		t.Fatalf("oasdiff: %v\n%s", err, output)
	}
	seen := map[change][]string{}
	for _, one := range changes {
		if strings.HasPrefix(one.ID, "api-version") {
			continue
		}
		level := minor
		if one.Level > 1 || strings.Contains(one.ID, "operation-id") { // WARN may break, and generated code has the ids
			level = major
		}
		seen[level] = append(seen[level], strings.TrimSpace(one.Operation+" "+one.Path+" "+one.Text))
	}
	return seen
}

// ofWords are the members of a document that state no rule.
var ofWords = regexp.MustCompile(`^(description|summary|examples?|title|contact|license|version|externalDocs|tags|servers|x-go-.*|x-enum-varnames|x-enum-descriptions|x-if-missing|x-known-values)$`)

// withoutWords copies a part of a document without what states no rule. The members of areNames are named freely.
func withoutWords(part any, areNames bool) any {
	switch part := part.(type) {
	case map[string]any:
		rules := map[string]any{}
		for name, value := range part {
			if areNames || !ofWords.MatchString(name) {
				rules[name] = withoutWords(value, name == "properties" && !areNames)
			}
		}
		return rules
	case []any:
		rules := make([]any, len(part))
		for i, value := range part {
			rules[i] = withoutWords(value, false)
		}
		return rules
	default:
		return part
	}
}

// unseen are the members with rules that oasdiff does not compare.
var unseen = regexp.MustCompile(`^(not|x-max-.*|x-output-schema|x-refuse-unknown-parameters|x-action)$`)

// unseenLimits returns the pointers of such members that are not the same in parts which both documents have.
func unseenLimits(base, now any) (pointers []string) {
	switch base := base.(type) {
	case map[string]any:
		now, ok := now.(map[string]any)
		if !ok {
			return nil
		}
		names := maps.Clone(base)
		maps.Copy(names, now)
		for name := range names {
			before, was := base[name]
			after, is := now[name]
			if unseen.MatchString(name) {
				if !reflect.DeepEqual(before, after) {
					pointers = append(pointers, "/"+name)
				}
				continue
			}
			if was && is {
				for _, pointer := range unseenLimits(before, after) {
					pointers = append(pointers, "/"+name+pointer)
				}
			}
		}
	case []any:
		now, ok := now.([]any)
		for i := 0; ok && i < min(len(base), len(now)); i++ {
			for _, pointer := range unseenLimits(base[i], now[i]) {
				pointers = append(pointers, fmt.Sprint("/", i, pointer))
			}
		}
	}
	return pointers
}

// codesOf returns the error codes with their statuses.
func codesOf(document map[string]any) map[string]any {
	schema, _ := document["components"].(map[string]any)["schemas"].(map[string]any)["ErrorCode"].(map[string]any)
	codes, _ := schema["enum"].([]any)
	statuses, _ := schema["x-statuses"].([]any)
	byCode := map[string]any{}
	for i, code := range codes {
		byCode[fmt.Sprint(code)] = nil
		if i < len(statuses) {
			byCode[fmt.Sprint(code)] = statuses[i]
		}
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
	text, err := os.ReadFile(document(t, "baseline/callback.json"))
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
	both := strings.NewReplacer(`"x-max-depth": 50`, `"x-max-depth": 49`, `"500": {`, `"409": {"description": "x"}, "500": {`).Replace(string(text))
	if got, why := changeOf(t, base, parsed(t, both)); got != major {
		t.Errorf("a new response and a lower depth: %s\n%s", inWords[got], strings.Join(why, "\n"))
	}
	for version, needs := range map[string]change{"1.0.1": patch, "1.1.0": minor, "2.0.0": major} {
		for _, c := range []change{patch, minor, major} {
			if is := isBumped(c, "1.0.0", version); is != (c <= needs) {
				t.Errorf("1.0.0 to %s for what has %s: %v", version, inWords[c], is)
			}
		}
	}
	log := "| callback | 1.0.1 | words |\n"
	for _, test := range []struct {
		c   change
		now string
		ok  bool
	}{{patch, "1.0.1", true}, {patch, "1.0.0", false}, {minor, "1.0.1", false}, {patch, "1.0.2", false}, {patch, "0.9.0", false}} {
		if fault := undeclared("callback", test.c, "1.0.0", test.now, log); (fault == "") != test.ok {
			t.Errorf("%s as %s: %q", inWords[test.c], test.now, fault)
		}
	}
}
