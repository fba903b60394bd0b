package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Both forms hold the same; the store's own hides what is in it.
func TestStoreForms(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.json")
	if err := os.WriteFile(path, []byte(`{"redis_lb":{"password":"planted"},"oc_bifrost":{"superuser_id":"0123"}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	plain, err := loadStore(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := plain.get("redis_lb", "password"); got != "planted" || plain["redis_lb"]["password"].Frozen {
		t.Errorf("the plain form: %q", got)
	}
	if err := plain.save(path); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(content), "planted") {
		t.Error("the store's own form shows a secret")
	}
	var form struct {
		Veil struct {
			Type        string
			Version     int
			Cipher      struct{ Type, Key, IV string }
			Credentials string
		}
	}
	if err := json.Unmarshal(content, &form); err != nil {
		t.Fatal(err)
	}
	if form.Veil.Type != "Veil::CredentialCollection::ChefSecretsFile" || form.Veil.Version != 2 || form.Veil.Cipher.Type != "Veil::Cipher::V2" || form.Veil.Credentials == "" {
		t.Errorf("the envelope is %+v", form.Veil)
	}
	again, err := loadStore(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(plain, again); diff != "" {
		t.Errorf("(-before +after):\n%s", diff)
	}
}

func TestStoreRefusals(t *testing.T) {
	for text, says := range map[string]string{
		`{"redis_lb":{"password":null},"x":1}`:        "groups of texts",
		`{"redis_lb":{"password":5}}`:                 "groups of texts",
		`{"veil":{"type":"Veil::Other","version":2}}`: "Veil::Other",
		`{"veil":{"type":"` + storeType + `","version":2,"cipher":{"key":"MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=","iv":""},"credentials":"AAAA"}}`: "damaged",
		"not JSON": "groups of texts",
	} {
		path := filepath.Join(t.TempDir(), "store.json")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := loadStore(path); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: got %v, want %q", text, err, says)
		}
	}
	if s, err := loadStore(filepath.Join(t.TempDir(), "none")); err != nil || len(s) != 0 {
		t.Errorf("a store that is not there: %v, %v", s, err)
	}
}

// Cinc Server counts groups, and takes off the keys.
func TestHasSecrets(t *testing.T) {
	key := func(names ...string) store {
		s := store{}
		for _, name := range names {
			s.set("chef-server", name, "x", false)
		}
		return s
	}
	withGroups := key("superuser_key", "webui_key")
	withGroups.set("redis_lb", "password", "x", false)
	withGroups.set("oc_id", "sql_password", "x", false)
	for _, test := range []struct {
		name string
		s    store
		want bool
	}{
		{"nothing", store{}, false},
		{"the superuser's key", key("superuser_key"), false},
		{"both keys", key("superuser_key", "webui_key"), false},
		{"both keys, and two groups", withGroups, true},
	} {
		if got := test.s.hasSecrets(); got != test.want {
			t.Errorf("%s: %v", test.name, got)
		}
	}
}

// Lengths are Cinc Server's, a key on disk is taken over, and the public half belongs to it.
func TestFill(t *testing.T) {
	made := store{}
	if err := made.addKeys(); err != nil {
		t.Fatal(err)
	}
	l := layout{t.TempDir()}
	if err := write(l.pivotal(), []byte(made.get("chef-server", "superuser_key")), 0o600); err != nil {
		t.Fatal(err)
	}
	s := store{}
	s.set("redis_lb", "password", "kept", false)
	if err := s.fill(l); err != nil {
		t.Fatal(err)
	}
	if err := s.addKeys(); err != nil {
		t.Fatal(err)
	}
	if s.get("redis_lb", "password") != "kept" {
		t.Error("a secret that was there has changed")
	}
	if s.get("chef-server", "superuser_key") != made.get("chef-server", "superuser_key") {
		t.Error("pivotal.pem was not taken over")
	}
	if !s["oc_bifrost"]["superuser_id"].Frozen || len(s.get("oc_bifrost", "superuser_id")) != 32 {
		t.Errorf("superuser_id is %+v", s["oc_bifrost"]["superuser_id"])
	}
	public, err := publicOf(s.get("chef-server", "webui_key"))
	if err != nil || public != s.get("chef-server", "webui_pub_key") {
		t.Errorf("the web interface's keys are no pair: %v", err)
	}
}
