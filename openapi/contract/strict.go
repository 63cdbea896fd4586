package contract

import (
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/getkin/kin-openapi/openapi3"
)

const (
	mediaTypeJSON = "application/json"
	mediaTypeForm = "application/x-www-form-urlencoded"
)

// checkParameters refuses parameters that kin-openapi accepts although two readers could
// understand them differently: a parameter given twice, and text that is not UTF-8.
func (o *Operation) checkParameters(r *http.Request, pathValues PathValues) error {
	for i, value := range pathValues.Values {
		if !utf8.ValidString(value) {
			return &Violation{Member: pathValues.Names[i], Rule: "must be UTF-8"}
		}
	}
	var query url.Values
	if o.strictQuery && r.URL.RawQuery != "" {
		var err error
		if query, err = url.ParseQuery(r.URL.RawQuery); err != nil {
			return &Violation{Member: "query", Rule: "must be well-formed"}
		}
		for name := range query {
			if !o.HasQuery(name) {
				return &Violation{Member: quoted(name), Rule: "is not a parameter of this operation"}
			}
		}
	}
	for _, p := range o.parameters {
		values := r.Header[p.canonical]
		if p.In == openapi3.ParameterInQuery {
			if query == nil {
				var err error
				if query, err = url.ParseQuery(r.URL.RawQuery); err != nil {
					return &Violation{Member: "query", Rule: "must be well-formed"}
				}
			}
			values = query[p.Name]
		}
		if p.In == openapi3.ParameterInPath {
			continue
		}
		if err := checkOnce(p.Name, values); err != nil {
			return err
		}
	}
	return nil
}

// quoted returns a name of a request for a message: quoted, and shortened if it is long.
func quoted(name string) string {
	const longest = 64
	if len(name) > longest {
		name = strings.ToValidUTF8(name[:longest], "") + "…"
	}
	return strconv.QuoteToASCII(name)
}

func checkOnce(name string, values []string) error {
	if len(values) > 1 {
		return &Violation{Member: name, Rule: "must be given once"}
	}
	if len(values) == 1 && !utf8.ValidString(values[0]) {
		return &Violation{Member: name, Rule: "must be UTF-8"}
	}
	return nil
}

// checkMediaType refuses a compressed body, and one that is not of the operation's type in UTF-8.
func (o *Operation) checkMediaType(header http.Header) error {
	wanted := mediaTypeJSON
	if o.isForm {
		wanted = mediaTypeForm
	}
	for _, encoding := range header.Values("Content-Encoding") {
		if !strings.EqualFold(encoding, "identity") {
			return &Violation{Member: "Content-Encoding", Rule: "must be absent: compressed bodies are not supported", MediaType: true}
		}
	}
	types := header.Values("Content-Type")
	if len(types) != 1 {
		return &Violation{Member: "Content-Type", Rule: "must be given once, as " + wanted, MediaType: true}
	}
	if types[0] == wanted {
		return nil // the common case
	}
	mediaType, parameters, err := mime.ParseMediaType(types[0])
	if err != nil || mediaType != wanted {
		return &Violation{Member: "Content-Type", Rule: "must be " + wanted, MediaType: true}
	}
	if charset, ok := parameters["charset"]; ok && !strings.EqualFold(charset, "utf-8") {
		return &Violation{Member: "Content-Type", Rule: "must have the charset utf-8, or none", MediaType: true}
	}
	return nil
}
