package contract

import (
	"bytes"
	"context"
	"io"
	"net/http"

	"github.com/getkin/kin-openapi/openapi3filter"
)

// CheckRequest says whether r, whose path holds pathValues (decoded), is a request that
// the document allows for this operation. The error is a *Violation, or what reading the
// body returned.
//
// It reads the body to its end, so whoever calls it limits the size before. Afterwards
// the body can be read again; it then has a method ValidatedValue() any with the value
// that was judged, defaults filled in, which is what oapi-codegen's strict servers bind.
func (o *Operation) CheckRequest(ctx context.Context, r *http.Request, pathValues map[string]string) error {
	if err := o.checkStrict(r, pathValues); err != nil {
		return err
	}
	err := openapi3filter.ValidateRequest(ctx, &openapi3filter.RequestValidationInput{
		Request:    r,
		PathParams: pathValues,
		Route:      o.route,
		Options:    o.options,
	})
	return violation(err)
}

// CheckAnswer says whether an answer to r is one that the document allows for this
// operation: its status, headers, media type and body. The error is a *Violation.
func (o *Operation) CheckAnswer(ctx context.Context, r *http.Request, status int, header http.Header, body []byte) error {
	if o.route.Operation.Responses.Status(status) == nil && o.route.Operation.Responses.Default() == nil {
		return &Violation{Member: "status", Rule: "is not one that the contract has"}
	}
	err := openapi3filter.ValidateResponse(ctx, &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: r, Route: o.route, Options: o.options},
		Status:                 status,
		Header:                 header,
		Body:                   io.NopCloser(bytes.NewReader(body)),
		Options:                o.options,
	})
	return violation(err)
}
