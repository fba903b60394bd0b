package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

// search is the search as cinc-server.rb names it.
type search struct {
	url, user, password string
	shards, replicas    int
	client              *http.Client
}

func searchOf(c settings, s store, l layout) (search, error) {
	bundle, err := os.ReadFile(l.trust())
	if err != nil {
		return search{}, err
	}
	authorities := x509.NewCertPool()
	authorities.AppendCertsFromPEM(bundle)
	return search{
		url:  strings.TrimSuffix(c.text("opensearch", "external_url", ""), "/"),
		user: c.text("opscode_erchef", "search_auth_username", "opensearch_user"), password: c.text("opscode_erchef", "search_auth_password", s.get("opscode_erchef", "search_auth_password")),
		shards: c.number("opensearch", "shard_count", 5), replicas: c.number("opensearch", "replica_count", 1),
		client: &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{
			DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: authorities, MinVersion: tls.VersionTLS12},
		}},
	}, nil
}

func (s search) ask(ctx context.Context, method, path, body string) (status int, answer []byte, err error) {
	request, err := http.NewRequestWithContext(ctx, method, s.url+path, strings.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	request.SetBasicAuth(s.user, s.password)
	request.Header.Set("Content-Type", "application/json")
	response, err := s.client.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close() //nolint:errcheck // read to its end
	answer, err = io.ReadAll(io.LimitReader(response.Body, 1<<20))
	return response.StatusCode, answer, err
}

// version returns the search's major version.
func (s search) version(ctx context.Context) (int, error) {
	status, answer, err := s.ask(ctx, http.MethodGet, "/", "")
	if err != nil {
		return 0, err
	}
	var root struct {
		Version struct {
			Number string `json:"number"`
		} `json:"version"`
	}
	if err := json.Unmarshal(answer, &root); status != http.StatusOK || err != nil {
		return 0, fmt.Errorf("Net::HTTPClientException: %d \"%s\" from %s", status, http.StatusText(status), s.url) //nolint:staticcheck // Ruby's words
	}
	major, _, _ := strings.Cut(root.Version.Number, ".")
	return strconv.Atoi(major)
}

// prepare makes the index where it is missing. Two nodes that do so at once: the second is told 400, and fails.
func (s search) prepare(ctx context.Context, unit time.Duration) error {
	major, err := s.version(ctx)
	if err != nil {
		return err
	}
	if major != 1 {
		return fmt.Errorf("Unsupported Opensearch version of %d. There is currently support for the major versions of 1.", major) //nolint:revive,staticcheck // Cinc Server's words
	}
	status := 0
	err = retry(ctx, unit, 4, func() (err error) {
		status, _, err = s.ask(ctx, http.MethodGet, "/chef", "")
		return err
	})
	if err != nil || status == http.StatusOK {
		return err
	}
	if status != http.StatusNotFound {
		return fmt.Errorf("GET /chef: %d %s", status, http.StatusText(status))
	}
	index, err := json.Marshal(map[string]any{
		"settings": map[string]any{
			"analysis":         map[string]any{"analyzer": map[string]any{"default": map[string]string{"type": "whitespace"}}},
			"number_of_shards": s.shards, "number_of_replicas": s.replicas,
		},
		"mappings": map[string]any{
			"_source": map[string]bool{"enabled": false},
			"properties": map[string]any{
				"X_CHEF_database_CHEF_X": map[string]string{"type": "keyword"}, "X_CHEF_type_CHEF_X": map[string]string{"type": "keyword"},
				"X_CHEF_id_CHEF_X": map[string]string{"type": "keyword"}, "data_bag": map[string]string{"type": "keyword"},
				"content": map[string]string{"type": "text"},
			},
		},
	})
	if err != nil {
		return err
	}
	status, answer, err := s.ask(ctx, http.MethodPut, "/chef", string(index))
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("PUT /chef: %d %s", status, answer)
	}
	return err
}

// reindex stands for "reindex -a": goiardi searches in the database, and there is nothing to index. What can go wrong is
// the search.
func reindex(ctx context.Context, i invocation) error {
	if len(i.arguments) == 0 {
		return errors.New("usage: reindex -a | ORG")
	}
	c, s, err := i.load()
	if err != nil {
		return err
	}
	where, err := searchOf(c, s, i.layout)
	if err != nil {
		return err
	}
	if err := where.prepare(ctx, i.wait); err != nil {
		return err
	}
	i.say("reindexed; goiardi keeps its index in the database, so that the index chef stays empty")
	return nil
}
