package sdk_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/cincbake/cincbake/internal/sdk"
)

// closed is a body as the SDK leaves it when an answer has come before net/http looked for the body's end.
type closed struct{ *bytes.Reader }

func (closed) Close() error { return nil }

func (c closed) WriteTo(io.Writer) (int64, error) { return 0, io.EOF }

// A call whose body is closed early has the whole of its answer.
func TestAnswersAreReadToTheirEnd(t *testing.T) {
	const size = 1 << 20
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if sent, err := io.ReadAll(r.Body); err != nil || string(sent) != "question" {
			t.Errorf("sent %q, %v", sent, err)
		}
		_, _ = io.WriteString(w, strings.Repeat("a", size)) // the client tells what it got
	}))
	t.Cleanup(server.Close)
	client := sdk.ReadOnly(server.Client())
	for range 20 {
		question := closed{bytes.NewReader([]byte("question"))}
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL, question)
		if err != nil {
			t.Fatal(err)
		}
		request.ContentLength = question.Size()
		answer, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(answer.Body)
		if err := errors.Join(err, answer.Body.Close()); err != nil || len(text) != size {
			t.Fatalf("%d bytes of the answer, %v", len(text), err)
		}
	}
}

type kept struct{ request *http.Request }

func (k *kept) Do(r *http.Request) (*http.Response, error) {
	k.request = r
	return new(http.Response), nil
}

func TestACallWithoutABodyHasNone(t *testing.T) {
	request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", http.NoBody)
	request.Body = http.NoBody
	k := new(kept)
	answer, err := sdk.ReadOnly(k).Do(request)
	if err != nil || answer == nil || k.request.Body != http.NoBody {
		t.Errorf("it has %v, %v", k.request.Body, err)
	}
}
