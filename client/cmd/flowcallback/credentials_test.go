package main_test

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/flowcallback/flowcallback/server/servertest"
)

func TestCredentials(t *testing.T) {
	const token, secret = "hunter2-token", "hunter2-secret-key"
	folder := t.TempDir()
	write := func(name, text string) (path string) {
		path = filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	sum := sha256.Sum256([]byte(token))
	principals := write("auth.yaml", "principals:\n"+
		"  - {name: a, projects: [project], allow: [callback], token_sha256: "+hex.EncodeToString(sum[:])+"}\n"+
		"  - {name: b, projects: [project], allow: [wait], access_key: AKID, secret_key: "+secret+"}\n")
	s := servertest.Start(t, "--auth", principals, "--engine", "sqlite:"+filepath.Join(folder, "waits.db"))
	with := func(environment ...string) shell {
		return shell{environment: append([]string{"FLOWCALLBACK_ENDPOINT=" + s.URL, "FLOWCALLBACK_RETRY=0"}, environment...)}
	}
	project := "FLOWCALLBACK_PROJECT_ID=project"
	good := "[basic]\nak = AKID\nsk = " + secret + "\nproject_id = project\n\n[global]\nak = other\n"
	file := write("credentials", good)
	home := write("home/.huaweicloud/credentials", good)
	keys := []string{"HUAWEICLOUD_SDK_AK=AKID", "HUAWEICLOUD_SDK_SK=" + secret, "HUAWEICLOUD_SDK_SECURITY_TOKEN=temporary"}

	for name, test := range map[string]struct {
		shell  shell
		status int
		want   string
	}{
		"no credentials":                      {with(project), 4, "APIGW.0301"},
		"token without permission":            {with(project, "FLOWCALLBACK_TOKEN="+token), 4, "FSS.0403"},
		"wrong token":                         {with(project, "FLOWCALLBACK_TOKEN=hunter2-wrong"), 4, "APIGW.0301"},
		"keys":                                {with(append(keys, project)...), 0, ""},
		"keys with vendor's project variable": {with(append(keys, "HUAWEICLOUD_SDK_PROJECT_ID=project")...), 0, ""},
		"secret key without access key":       {with(project, keys[1]), 2, "must both be set"},
		"token wins over keys":                {with(append(keys, project, "FLOWCALLBACK_TOKEN="+token)...), 4, "FSS.0403"},
		"file from the environment":           {with("HUAWEICLOUD_SDK_CREDENTIALS_FILE=" + file), 0, ""},
		"file at the default path":            {with("HOME=" + filepath.Dir(filepath.Dir(home))), 0, ""},
		"keys win over the file":              {with("HUAWEICLOUD_SDK_CREDENTIALS_FILE=/no/such/file", keys[0], keys[1], project), 0, ""},
		"missing file":                        {with(project, "HUAWEICLOUD_SDK_CREDENTIALS_FILE=/no/such/file"), 2, "no such file"},
		"file without a section":              {with(project, "HUAWEICLOUD_SDK_CREDENTIALS_FILE="+write("empty", "ak = hunter2\n")), 2, "want ak and sk in the section [basic]"},
		"malformed file":                      {with(project, "HUAWEICLOUD_SDK_CREDENTIALS_FILE="+write("broken", "[basic\nhunter2")), 2, "not well-formed"},
	} {
		t.Run(name, func(t *testing.T) {
			stdout, stderr := test.shell.run(t, test.status, "waits", "list", "--json")
			if !strings.Contains(stderr, test.want) || strings.Contains(stdout+stderr, "hunter2") {
				t.Errorf("stdout %q, stderr %q; want %q in stderr and no secret in either", stdout, stderr, test.want)
			}
		})
	}
	help, _ := with(append(keys, "FLOWCALLBACK_TOKEN="+token)...).run(t, 0, "--help")
	if strings.Contains(help, "hunter2") {
		t.Error("--help prints a secret")
	}
}
