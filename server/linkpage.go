package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"io"
	"slices"
	"time"

	"github.com/flowcallback/flowcallback/gen/callback"
	"github.com/flowcallback/flowcallback/gen/waits"
	"github.com/flowcallback/flowcallback/gen/waitsserver"
	"github.com/flowcallback/flowcallback/openapi/contract"
	"github.com/flowcallback/flowcallback/server/console"
	"github.com/flowcallback/flowcallback/server/engine"
)

// The pages of links, which work without scripts.
var linkPages = template.Must(template.New("").Funcs(template.FuncMap{
	"day": func(t time.Time) string { return t.UTC().Format("2 January 2006, 15:04 UTC") },
	"at":  func(t time.Time) string { return t.UTC().Format("2 January 2006, 15:04:05 UTC") },
	"iso": func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
}).Parse(console.LinkPages()))

// linkPage is what the template shows.
type linkPage struct {
	Root      string // the way from the page to the server's root
	Page      string // the way from the page to the link's page
	Workflow  string
	Question  string
	To        string
	By        string // who decides, for the record
	MaxReason int    // characters
	Until     time.Time
	Values    []labelled
	Raw       string

	CanApprove, CanReject bool
	HasSchema             bool
	Schema                string
	Fields                []field // of the schema; none if it names no members

	Decision waits.LinkDecision // what was sent
	Output   string             // of the decision, as JSON
	Problem  string             // with what was sent

	Status    waits.Status // of a wait that is decided
	SettledAt time.Time
}

// The ways from the pages of a link to the server's root: from /l/{token}, and from a path below it.
const (
	rootOfLink     = "../"
	rootOfDecision = "../../"
)

// newLinkPage returns the page of a link.
func newLinkPage(f *followed, root string) *linkPage {
	p := &linkPage{Root: root, MaxReason: callback.ReasonMaxLength}
	w := f.wait
	p.Workflow, p.Question, p.To, p.Until = w.WorkflowID, w.Title, f.To, f.ExpiresAt
	if p.Question == "" {
		p.Question = string(w.StateID)
	}
	if w.ExpiresAt.Before(p.Until) {
		p.Until = w.ExpiresAt
	}
	if p.By = f.To; p.By == "" {
		p.By = "link " + f.LinkID
	}
	p.Values, p.Raw = labels(w.Input), indented(w.Input)
	p.CanApprove, p.CanReject = slices.Contains(f.Allow, callback.Success), slices.Contains(f.Allow, callback.Fail)
	p.HasSchema, p.Schema, p.Fields = w.OutputSchema != nil, indented(w.OutputSchema), fieldsOf(w.OutputSchema, nil)
	p.Status = w.Status
	if w.SettledAt != nil {
		p.SettledAt = *w.SettledAt
	}
	return p
}

// render returns a page of the template with a status.
func (p *linkPage) render(name string) (io.Reader, error) {
	var page bytes.Buffer
	err := linkPages.ExecuteTemplate(&page, name, p)
	return &page, err
}

// endOf returns the page for a link that cannot be used, or nil for another error.
func endOf(err error, root string) (*linkPage, string) {
	p := &linkPage{Root: root}
	switch {
	case errors.Is(err, engine.ErrNotFound):
		return p, "unknown"
	case errors.Is(err, engine.ErrExpired):
		return p, "over"
	}
	return nil, ""
}

// ShowLink implements the operation showLink.
func (l links) ShowLink(ctx context.Context, r waitsserver.ShowLinkRequestObject) (waitsserver.ShowLinkResponseObject, error) {
	f, err := l.follow(ctx, r.Token)
	if p, name := endOf(err, rootOfLink); p != nil {
		body, err := p.render(name)
		return waitsserver.ShowLink404TextHTMLResponse{Body: body, Headers: waitsserver.ShowLink404ResponseHeaders{XRequestID: requestOf(ctx).id}}, err
	}
	if err != nil {
		return nil, err
	}
	p := newLinkPage(f, rootOfLink)
	p.Page, p.Output = r.Token, "{}"
	name := "question"
	if f.wait.Status != waits.Waiting {
		name = "decided"
	}
	body, err := p.render(name)
	return waitsserver.ShowLink200TextHTMLResponse{Body: body, Headers: waitsserver.ShowLink200ResponseHeaders{XRequestID: requestOf(ctx).id}}, err
}

// DecideByLink implements the operation decideByLink.
func (l links) DecideByLink(ctx context.Context, r waitsserver.DecideByLinkRequestObject) (waitsserver.DecideByLinkResponseObject, error) {
	page, body, err := l.decide(ctx, r)
	switch {
	case err != nil:
		return nil, err
	case page == pageOfNoLink:
		return waitsserver.DecideByLink404TextHTMLResponse{Body: body, Headers: waitsserver.DecideByLink404ResponseHeaders{XRequestID: requestOf(ctx).id}}, nil
	case page == pageOfProblem:
		return waitsserver.DecideByLink400TextHTMLResponse{Body: body, Headers: waitsserver.DecideByLink400ResponseHeaders{XRequestID: requestOf(ctx).id}}, nil
	default:
		return waitsserver.DecideByLink200TextHTMLResponse{Body: body, Headers: waitsserver.DecideByLink200ResponseHeaders{XRequestID: requestOf(ctx).id}}, nil
	}
}

// The kinds of pages that answer a form.
type pageKind int

const (
	pageOfAnswer  pageKind = iota // the decision, or the question whether to send it
	pageOfProblem                 // what was sent is not allowed
	pageOfNoLink                  // the link does not work
)

func (l links) decide(ctx context.Context, r waitsserver.DecideByLinkRequestObject) (kind pageKind, body io.Reader, err error) {
	render := func(kind pageKind, p *linkPage, name string) (pageKind, io.Reader, error) {
		body, err := p.render(name)
		return kind, body, err
	}
	f, err := l.follow(ctx, r.Token)
	if p, name := endOf(err, rootOfDecision); p != nil {
		return render(pageOfNoLink, p, name)
	}
	if err != nil {
		return 0, nil, err
	}
	p := newLinkPage(f, rootOfDecision)
	p.Page = "../" + r.Token
	isWhole := p.take(*r.Body, f)
	switch {
	case f.wait.Status == waits.Waiting:
	case isWhole && p.isOutcome(f): // it was sent before
		return render(pageOfAnswer, p, "done")
	default:
		return render(pageOfAnswer, p, "decided")
	}
	if isBack := r.Body.Confirmed != nil && *r.Body.Confirmed == waits.No; isBack {
		for i := range p.Fields {
			p.Fields[i].Problem = ""
		}
		return render(pageOfAnswer, p, "question")
	}
	if !isWhole {
		p.Problem = faults(p.Fields)
		return render(pageOfProblem, p, "question")
	}
	request, err := l.requestOf(p)
	if err == nil && !slices.Contains(f.Allow, request.Result) {
		err = errLinkForbids
	}
	if err == nil && f.wait.OutputSchema != nil && request.Result == callback.Success {
		err = l.judge(f.wait.OutputSchema, request.Output)
	}
	if err == nil && r.Body.Confirmed == nil {
		return render(pageOfAnswer, p, "confirm")
	}
	if err == nil {
		_, err = l.settle(ctx, f, request)
	}
	var refused *engine.OutputError
	var violation *contract.Violation
	switch {
	case err == nil:
		return l.answer(ctx, r.Token, f, p)
	case errors.As(err, &refused) && blame(p.Fields, refused.Rule):
		p.Problem = faults(p.Fields)
	case errors.As(err, &refused):
		p.Problem = refused.Rule
	case errors.As(err, &violation):
		p.Problem = violation.Error()
	case errors.Is(err, errLinkForbids):
		p.Problem = err.Error()
	case errors.Is(err, engine.ErrConflict), errors.Is(err, engine.ErrExpired), errors.Is(err, engine.ErrCancelled), errors.Is(err, engine.ErrNotFound):
		// Somebody was faster.
		f, err = l.follow(ctx, r.Token)
		if gone, name := endOf(err, rootOfDecision); gone != nil {
			return render(pageOfNoLink, gone, name)
		}
		if err != nil {
			return 0, nil, err
		}
		p = newLinkPage(f, rootOfDecision)
		p.take(*r.Body, f)
		return render(pageOfAnswer, p, "decided")
	default:
		return 0, nil, err
	}
	return render(pageOfProblem, p, "question")
}

// take keeps what was sent, and reports whether it makes an output.
func (p *linkPage) take(d waits.LinkDecision, f *followed) (isWhole bool) {
	p.Decision, p.Output, isWhole = d, d.Output, true
	switch {
	case d.Output != "":
		p.Fields = nil // it was written as JSON
	case len(p.Fields) > 0:
		p.Fields = fieldsOf(f.wait.OutputSchema, d.Answer)
		if d.Result == callback.Success {
			var output []byte
			output, isWhole = outputOf(p.Fields)
			p.Output = string(output)
		}
	}
	if p.Output == "" || d.Result == callback.Fail {
		p.Output = "{}"
	}
	return isWhole
}

// isOutcome reports whether the wait was decided by this link with what was sent now.
func (p *linkPage) isOutcome(f *followed) bool {
	outcome := f.wait.Outcome
	var output bytes.Buffer
	return f.wait.SettledBy == f.principal() && outcome != nil && outcome.Result == p.Decision.Result &&
		(outcome.Result == callback.Success || outcome.Error == p.Decision.Error) &&
		json.Compact(&output, []byte(p.Output)) == nil && bytes.Equal(output.Bytes(), outcome.Output)
}

// answer returns the page after a decision was accepted. Somebody else may have sent the same a
// little earlier, and is then who decided.
func (l links) answer(ctx context.Context, secret string, before *followed, p *linkPage) (kind pageKind, body io.Reader, err error) {
	name := "done"
	after, err := l.follow(ctx, secret)
	if err == nil {
		decision, output, fields := p.Decision, p.Output, p.Fields
		p = newLinkPage(after, rootOfDecision)
		p.Decision, p.Output, p.Fields = decision, output, fields
		if after.wait.SettledBy != before.principal() {
			name = "decided"
		}
	} else { // the link has ended since
		p.Status, p.SettledAt = waits.Status(p.Decision.Result), time.Now()
	}
	body, err = p.render(name)
	return pageOfAnswer, body, err
}

// Written returns what somebody wrote and the record does not have, to keep it elsewhere.
func (p *linkPage) Written() (all []field) {
	for _, f := range p.Fields {
		if f.Text != "" {
			all = append(all, f)
		}
	}
	if p.Decision.Output != "" && p.Decision.Output != "{}" {
		all = append(all, field{Label: "Answer", Text: p.Decision.Output})
	}
	if p.Decision.Error != "" {
		all = append(all, field{Label: "Reason", Text: p.Decision.Error})
	}
	return all
}

// requestOf returns the callback that a form means, or a *contract.Violation.
func (l links) requestOf(p *linkPage) (request callback.Request, err error) {
	request = callback.Request{Result: p.Decision.Result, Output: []byte(p.Output)}
	if request.Result == callback.Fail {
		request.Error = p.Decision.Error
	}
	if !json.Valid(request.Output) {
		return request, &contract.Violation{Member: "output", Rule: "must be well-formed JSON"}
	}
	body, err := l.outcome.CheckJSON(requestText(request))
	if err == nil {
		err = body.Bind(&request)
	}
	return request, err
}

// requestText returns a callback as JSON, with its output byte for byte.
func requestText(request callback.Request) []byte {
	reason := ""
	if request.Error != "" {
		reason = `"error":` + quotedJSON(request.Error) + ","
	}
	return fmt.Appendf(nil, `{"result":%q,%s"output":%s}`, request.Result, reason, request.Output)
}
