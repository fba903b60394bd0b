// Package moto asks moto, a Python stand-in for AWS that others wrote, for a second opinion: what commands do against this
// project's own fake (package fakeaws), they do against moto as well, through a proxy of this package.
//
// The proxy records every call. What the stand-in behind it lacks, it answers itself, or lets the fake answer; Substitutes
// lists all of that, with the reason. A call is always made as AWS would get it first, and only then otherwise: so it shows
// when the stand-in learns something, and the tests fail until the list is shorter. Whatever else the stand-in does not know
// becomes an API error that clients do not repeat, where moto says "500" and a page of HTML.
//
// What is not the proxy's to mend, like limits that moto does not keep to, comes to another outcome of the same commands:
// Outcomes lists those.
package moto

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cincbake/cincbake/test/fakeaws"
)

// Version is the release of moto that the lists are about.
const Version = "5.2.5"

// Proxy is a running proxy.
type Proxy struct {
	// URL is the address of every endpoint.
	URL string

	behind      *url.URL
	http        *httptest.Server
	client      *http.Client
	fake        *fakeaws.Server
	substitutes map[string]*Substitute // by service and action

	mu    sync.Mutex
	calls []Call
	used  map[string]int
	lacks []string
	kept  memory
}

// New starts a proxy in front of the stand-in at an address, which answers by itself what is in the list. Close ends it.
func New(behind string, substitutes []Substitute) (*Proxy, error) {
	address, err := url.Parse(behind)
	if err != nil {
		return nil, err
	}
	p := &Proxy{
		behind: address, fake: fakeaws.New(fakeaws.Options{}), substitutes: map[string]*Substitute{}, used: map[string]int{}, kept: newMemory(),
		client: &http.Client{
			Transport:     &http.Transport{DisableCompression: true},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
	for _, one := range substitutes {
		p.substitutes[one.Call] = &one
	}
	p.http = httptest.NewServer(http.HandlerFunc(p.serve))
	p.URL = p.http.URL
	return p, nil
}

// Close ends the proxy.
func (p *Proxy) Close() {
	p.http.Close()
	p.client.CloseIdleConnections()
	p.fake.Close()
}

// Used counts how often each substitute had to act, by its Call.
func (p *Proxy) Used() map[string]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.used)
}

// Lacks lists the calls that the stand-in does not know and that no substitute answers, sorted, each once.
func (p *Proxy) Lacks() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Compact(slices.Sorted(slices.Values(p.lacks)))
}

// exchange is a call on its way.
type exchange struct {
	ctx    context.Context
	proxy  *Proxy
	method string
	target string // path and query
	header http.Header
	body   []byte
	call   Call
}

// reply is what is answered.
type reply struct {
	status int
	header http.Header
	body   []byte
}

// maxBody is more than any call has.
const maxBody = 64 << 20

func (p *Proxy) serve(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	began := time.Now()
	e := &exchange{ctx: r.Context(), proxy: p, method: r.Method, target: r.URL.RequestURI(), header: r.Header, body: body, call: callOf(r, body)}
	answer, err := e.answer()
	if err != nil {
		answer = e.refuse(http.StatusBadGateway, "Proxy", err.Error())
	}
	e.call.Status, e.call.Code, e.call.Took = answer.status, codeOf(answer), time.Since(began)
	p.mu.Lock()
	p.calls = append(p.calls, e.call)
	p.mu.Unlock()
	maps.Copy(w.Header(), answer.header)
	w.Header().Del("Content-Length") // it may have changed
	w.WriteHeader(answer.status)
	_, _ = w.Write(answer.body)
}

// answer lets the stand-in answer, and a substitute where that comes to nothing.
func (e *exchange) answer() (reply, error) {
	own := e.proxy.substitutes[e.call.Name()]
	if own != nil && own.before != nil && own.before(e) {
		e.proxy.count(own)
	}
	answer, err := e.send(e.proxy.behind.String(), e.body)
	if err != nil {
		return reply{}, err
	}
	switch {
	case unknown(answer) && own != nil && own.instead != nil:
		e.proxy.count(own)
		return own.instead(e)
	case unknown(answer) && own != nil && own.refused:
		e.proxy.count(own)
		return e.refuse(http.StatusBadRequest, notImplemented, own.Does), nil
	case unknown(answer):
		e.proxy.mu.Lock()
		e.proxy.lacks = append(e.proxy.lacks, e.call.Name())
		e.proxy.mu.Unlock()
		return e.refuse(http.StatusBadRequest, notImplemented, fmt.Sprintf("the stand-in does not know %s: %.200s", e.call.Name(), answer.body)), nil
	case own != nil && own.after != nil:
		changed, had, err := own.after(e, answer)
		if had {
			e.proxy.count(own)
		}
		return changed, err
	}
	return answer, nil
}

func (p *Proxy) count(own *Substitute) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.used[own.Call]++
}

// send makes the call at an address, with another body perhaps.
func (e *exchange) send(to string, body []byte) (reply, error) {
	request, err := http.NewRequestWithContext(e.ctx, e.method, strings.TrimSuffix(to, "/")+e.target, bytes.NewReader(body))
	if err != nil {
		return reply{}, err
	}
	request.Header = e.header.Clone()
	request.Header.Del("Content-Length")
	request.ContentLength = int64(len(body))
	response, err := e.proxy.client.Do(request)
	if err != nil {
		return reply{}, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return reply{response.StatusCode, response.Header, text}, err
}

// also makes another call of the same service in the same region, at the stand-in: one that speaks EC2's or the query protocol.
func (e *exchange) also(action string, parameters url.Values) (*element, error) {
	values := url.Values{"Action": {action}, "Version": {e.call.Params.Get("Version")}}
	maps.Copy(values, parameters)
	answer, err := e.send(e.proxy.behind.String(), []byte(values.Encode()))
	if err != nil {
		return nil, err
	}
	if answer.status != http.StatusOK {
		return nil, fmt.Errorf("%s: %d: %.300s", action, answer.status, answer.body)
	}
	return parse(answer.body)
}

// notImplemented is the code of the error for what a stand-in does not know.
const notImplemented = "NotImplemented"

// page is what a web framework says when a program failed.
var page = regexp.MustCompile(`(?i)^\s*<(!doctype html|html)`)

// unknown tells whether an answer is none of an API: the stand-in failed, or says that it has no such action.
func unknown(r reply) bool {
	return r.status == http.StatusNotImplemented || r.status >= 500 && page.Match(r.body) || r.status == http.StatusBadRequest && codeOf(r) == "InvalidAction"
}
