package main

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// credential is one secret as Cinc Server's store keeps it. Frozen ones are not rotated by "rotate-all-credentials".
type credential struct {
	Type    string `json:"type"`
	Name    string `json:"name"`
	Group   string `json:"group"`
	Value   string `json:"value"`
	Version int    `json:"version"`
	Length  int    `json:"length"`
	Frozen  bool   `json:"frozen"`
}

// store is group, name, secret.
type store map[string]map[string]credential

// required are the secrets that Cinc Server makes where they are missing: digits, hexadecimal ones.
func required() []struct {
	group, name string
	length      int
	frozen      bool
} {
	return []struct {
		group, name string
		length      int
		frozen      bool
	}{
		{"redis_lb", "password", 100, false},
		{"opscode_erchef", "sql_password", 60, false},
		{"opscode_erchef", "sql_ro_password", 60, false},
		{"opscode_erchef", "stats_password", 100, false},
		{"oc_bifrost", "superuser_id", 32, true},
		{"oc_bifrost", "sql_password", 100, false},
		{"oc_bifrost", "sql_ro_password", 100, false},
		{"oc_id", "secret_key_base", 100, false},
		{"oc_id", "sql_password", 100, false},
		{"oc_id", "sql_ro_password", 100, false},
		{"bookshelf", "access_key_id", 40, false},
		{"bookshelf", "secret_access_key", 80, false},
		{"bookshelf", "sql_password", 80, false},
		{"bookshelf", "sql_ro_password", 80, false},
	}
}

// envelope is the second version of the store's form. The key is in the same file: it hides, and protects nothing.
type envelope struct {
	Veil struct {
		Type    string `json:"type"`
		Version int    `json:"version"`
		Hasher  struct {
			Type         string `json:"type"`
			Secret       string `json:"secret"`
			Salt         string `json:"salt"`
			Iterations   int    `json:"iterations"`
			HashFunction string `json:"hash_function"`
		} `json:"hasher"`
		Cipher struct {
			Type string `json:"type"`
			Key  []byte `json:"key"`
			IV   []byte `json:"iv"`
		} `json:"cipher"`
		Credentials []byte `json:"credentials"`
	} `json:"veil"`
}

const storeType = "Veil::CredentialCollection::ChefSecretsFile"

// loadStore reads the store in its own form or in the plain one. A store that is missing or empty has no secrets.
func loadStore(path string) (store, error) {
	content, err := os.ReadFile(path) //nolint:gosec // a path of the layout
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(content) == 0 {
		return store{}, nil
	}
	if err != nil {
		return nil, err
	}
	var e envelope
	if err := json.Unmarshal(content, &e); err == nil && e.Veil.Type != "" {
		return e.open()
	}
	var plain map[string]map[string]string
	if err := json.Unmarshal(content, &plain); err != nil {
		return nil, fmt.Errorf("%s: groups of texts are expected: %w", path, err)
	}
	s := store{}
	for group, names := range plain {
		for name, value := range names {
			s.set(group, name, value, false)
		}
	}
	return s, nil
}

func (e envelope) open() (store, error) {
	if e.Veil.Type != storeType || e.Veil.Version != 2 {
		return nil, fmt.Errorf("the secrets store is a %s of version %d", e.Veil.Type, e.Veil.Version)
	}
	block, err := aes.NewCipher(e.Veil.Cipher.Key)
	if err != nil {
		return nil, err
	}
	text := e.Veil.Credentials
	if len(text) == 0 || len(text)%aes.BlockSize != 0 || len(e.Veil.Cipher.IV) != aes.BlockSize {
		return nil, errors.New("the secrets store is damaged")
	}
	plain := make([]byte, len(text))
	cipher.NewCBCDecrypter(block, e.Veil.Cipher.IV).CryptBlocks(plain, text)
	padding := int(plain[len(plain)-1])
	if padding < 1 || padding > aes.BlockSize {
		return nil, errors.New("the secrets store is damaged")
	}
	s := store{}
	return s, json.Unmarshal(plain[:len(plain)-padding], &s)
}

// save writes the store in its own form.
func (s store) save(path string) error {
	plain, err := json.Marshal(s)
	if err != nil {
		return err
	}
	var e envelope
	e.Veil.Type, e.Veil.Version = storeType, 2
	e.Veil.Hasher.Type, e.Veil.Hasher.Iterations, e.Veil.Hasher.HashFunction = "Veil::Hasher::PBKDF2", 10000, "OpenSSL::Digest::SHA512"
	e.Veil.Hasher.Secret, e.Veil.Hasher.Salt = digits(1024), digits(256)
	e.Veil.Cipher.Type, e.Veil.Cipher.Key, e.Veil.Cipher.IV = "Veil::Cipher::V2", random(32), random(aes.BlockSize)
	block, err := aes.NewCipher(e.Veil.Cipher.Key)
	if err != nil {
		return err
	}
	padding := aes.BlockSize - len(plain)%aes.BlockSize
	plain = append(plain, bytes.Repeat([]byte{byte(padding)}, padding)...)
	e.Veil.Credentials = make([]byte, len(plain))
	cipher.NewCBCEncrypter(block, e.Veil.Cipher.IV).CryptBlocks(e.Veil.Credentials, plain)
	content, err := json.Marshal(e)
	if err != nil {
		return err
	}
	return write(path, content, 0o600)
}

func (s store) get(group, name string) string { return s[group][name].Value }

func (s store) set(group, name, value string, frozen bool) {
	if s[group] == nil {
		s[group] = map[string]credential{}
	}
	s[group][name] = credential{Type: "Veil::Credential", Name: name, Group: group, Value: value, Length: len(value), Frozen: frozen}
}

// hasSecrets tells whether there is a secret besides the keys of superuser and web interface. Cinc Server counts groups: the
// keys' own is one.
func (s store) hasSecrets() bool {
	n := len(s)
	for _, key := range []string{"webui_key", "superuser_key"} {
		if s.get("chef-server", key) != "" {
			n--
		}
	}
	return n > 0
}

// fill makes what is missing, and takes over the keys that older releases left on disk.
func (s store) fill(l layout) error {
	for _, r := range required() {
		if s.get(r.group, r.name) == "" {
			s.set(r.group, r.name, digits(r.length), r.frozen)
		}
	}
	for name, file := range map[string]string{"superuser_key": "pivotal.pem", "webui_key": "webui_priv.pem"} {
		content, err := os.ReadFile(l.etc(file))
		if errors.Is(err, fs.ErrNotExist) || err == nil && s.get("chef-server", name) != "" {
			continue
		}
		if err != nil {
			return err
		}
		s.set("chef-server", name, string(content), true)
	}
	return nil
}

// addKeys makes the keys that are missing.
func (s store) addKeys() error {
	for _, name := range []string{"superuser_key", "webui_key"} {
		if s.get("chef-server", name) != "" {
			continue
		}
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			return err
		}
		private := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})
		s.set("chef-server", name, string(private), true)
		if name == "webui_key" {
			delete(s["chef-server"], "webui_pub_key")
		}
	}
	if s.get("chef-server", "webui_pub_key") == "" {
		public, err := publicOf(s.get("chef-server", "webui_key"))
		if err != nil {
			return fmt.Errorf("webui_key: %w", err)
		}
		s.set("chef-server", "webui_pub_key", public, true)
	}
	return nil
}

// publicOf returns the public half of a private key.
func publicOf(private string) (string, error) {
	block, _ := pem.Decode([]byte(private))
	if block == nil {
		return "", errors.New("no PEM")
	}
	key, err := x509.ParsePKCS1PrivateKey(block.Bytes)
	if err != nil {
		other, err := x509.ParsePKCS8PrivateKey(block.Bytes)
		if err != nil {
			return "", errors.New("no private key in PKCS #1 or #8")
		}
		var ok bool
		if key, ok = other.(*rsa.PrivateKey); !ok {
			return "", errors.New("no RSA key")
		}
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})), err
}

func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return b
}

func digits(n int) string { return hex.EncodeToString(random((n + 1) / 2))[:n] }
