package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"gopkg.in/ini.v1"

	"github.com/flowcallback/flowcallback/client"
	"github.com/flowcallback/flowcallback/openapi/signature"
)

// readCredentials finds the credentials: a token, an access key in the environment, or an
// access key in the vendor's credentials file, which need not exist.
func (a *app) readCredentials() error {
	a.credentialsFrom = "none"
	if token := os.Getenv("FLOWCALLBACK_TOKEN"); token != "" {
		if strings.ContainsAny(token, " \t\r\n") {
			return fmt.Errorf("%w: FLOWCALLBACK_TOKEN contains white space", errUsage)
		}
		a.useToken(token, "the token in FLOWCALLBACK_TOKEN")
		return nil
	}
	accessKey, secretKey := os.Getenv("HUAWEICLOUD_SDK_AK"), os.Getenv("HUAWEICLOUD_SDK_SK")
	switch {
	case accessKey != "" && secretKey != "":
		a.useKeys(accessKey, secretKey, os.Getenv("HUAWEICLOUD_SDK_SECURITY_TOKEN"), "the access key in HUAWEICLOUD_SDK_AK")
		return nil
	case accessKey != "" || secretKey != "":
		return fmt.Errorf("%w: HUAWEICLOUD_SDK_AK and HUAWEICLOUD_SDK_SK must both be set", errUsage)
	}
	return a.readCredentialsFile()
}

// readCredentialsFile reads the section [basic], as the vendor's SDKs do.
func (a *app) readCredentialsFile() error {
	path := os.Getenv("HUAWEICLOUD_SDK_CREDENTIALS_FILE")
	named := path != ""
	if !named {
		home, err := os.UserHomeDir()
		if err != nil {
			return nil // without a home there is no file
		}
		path = filepath.Join(home, ".huaweicloud", "credentials")
	}
	data, err := os.ReadFile(path)
	switch {
	case !named && errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("%w: credentials file: %w", errUsage, err)
	}
	file, err := ini.Load(data)
	if err != nil {
		return fmt.Errorf("%w: credentials file %s: not well-formed: want a section [basic] with lines of \"ak = …\" and \"sk = …\"", errUsage, path)
	}
	section := file.Section("basic")
	value := func(name string) string { return section.Key(name).String() }
	if value("ak") == "" || value("sk") == "" {
		return fmt.Errorf("%w: credentials file %s: want ak and sk in the section [basic]", errUsage, path)
	}
	a.useKeys(value("ak"), value("sk"), value("security_token"), "the access key in "+path)
	if a.projectID == "" {
		a.projectID = value("project_id")
	}
	return nil
}

// useToken sends a token with requests.
func (a *app) useToken(token, from string) {
	a.credentials, a.credentialsFrom = []client.Option{client.WithToken(token)}, from
	a.authenticate = func(r *http.Request, _ []byte) error {
		r.Header.Set("X-Auth-Token", token)
		return nil
	}
}

// useKeys signs requests.
func (a *app) useKeys(accessKey, secretKey, securityToken, from string) {
	a.credentials, a.credentialsFrom = []client.Option{client.WithAKSK(accessKey, secretKey, securityToken)}, from
	a.authenticate = func(r *http.Request, body []byte) error {
		if securityToken != "" {
			r.Header.Set("X-Security-Token", securityToken)
		}
		return signature.Sign(r, body, accessKey, secretKey, time.Now())
	}
}
