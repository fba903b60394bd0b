package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

const (
	settingsFile = "opensearch.yml"
	keystoreFile = "opensearch.keystore"
	// securityPrefix begins the names of the settings that only the security plugin knows.
	securityPrefix = "plugins.security."
)

// settings are those of opensearch.yml by their dotted names, however the file nests them.
type settings map[string]any

func readSettings(file string) (settings, error) {
	content, err := os.ReadFile(file) //nolint:gosec // the configuration that the server is started with
	if err != nil {
		return nil, err
	}
	tree := map[string]any{}
	if err := yaml.NewDecoder(bytes.NewReader(content)).Decode(&tree); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	flat := settings{}
	if err := flat.flatten("", tree); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return flat, nil
}

func (s settings) flatten(prefix string, tree map[string]any) error {
	for key, value := range tree {
		if below, ok := value.(map[string]any); ok {
			if err := s.flatten(prefix+key+".", below); err != nil {
				return err
			}
			continue
		}
		if _, ok := s[prefix+key]; ok {
			return fmt.Errorf("%s is there twice", prefix+key)
		}
		s[prefix+key] = value
	}
	return nil
}

// withoutSecurity returns the settings that a server without the security plugin knows.
func (s settings) withoutSecurity() settings {
	kept := maps.Clone(s)
	maps.DeleteFunc(kept, func(name string, _ any) bool { return strings.HasPrefix(name, securityPrefix) })
	return kept
}

// behind returns the settings of a server that only this machine reaches over HTTP. What it says to its peers stays.
func (s settings) behind(address string) (settings, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	plain := s.withoutSecurity()
	maps.DeleteFunc(plain, func(name string, _ any) bool {
		return name == "http.bind_host" || name == "http.publish_host" || name == "http.publish_port"
	})
	plain["http.host"], plain["http.port"] = host, port
	return plain, nil
}

// listen returns where the server was to answer over HTTP.
func (s settings) listen() ([]string, error) {
	port := s.text("http.port", "9200")
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return nil, fmt.Errorf("http.port %q: this fixture takes a number only", port)
	}
	var hosts []string
	for _, name := range []string{"http.bind_host", "http.host", "network.bind_host", "network.host"} {
		if hosts = s.list(name); len(hosts) > 0 {
			break
		}
	}
	if len(hosts) == 0 {
		hosts = []string{"_local_"}
	}
	var addresses []string
	for _, host := range hosts {
		switch {
		case host == "_local_":
			host = "127.0.0.1"
		case strings.HasPrefix(host, "_"):
			return nil, fmt.Errorf("%s: this fixture takes addresses, names and _local_ only", host)
		}
		addresses = append(addresses, net.JoinHostPort(host, port))
	}
	return addresses, nil
}

// text returns a setting as text.
func (s settings) text(name, absent string) string {
	if value, ok := s[name]; ok {
		return fmt.Sprint(value)
	}
	return absent
}

// list returns a setting that may be one text, texts with commas between them, or a list.
func (s settings) list(name string) []string {
	var items []string
	switch value := s[name].(type) {
	case nil:
	case []any:
		for _, item := range value {
			items = append(items, fmt.Sprint(item))
		}
	default:
		for item := range strings.SplitSeq(fmt.Sprint(value), ",") {
			items = append(items, strings.TrimSpace(item))
		}
	}
	return items
}

// truth returns a setting that is true or false.
func (s settings) truth(name string, absent bool) (bool, error) {
	value, err := strconv.ParseBool(s.text(name, strconv.FormatBool(absent)))
	if err != nil {
		return false, fmt.Errorf("%s is %q, and must be true or false", name, s.text(name, ""))
	}
	return value, nil
}

// copyConfiguration writes the settings to a folder with everything beside them that the plain server reads: keys,
// certificates and other plugins' files stay where they are.
func copyConfiguration(from, to string, s settings) error {
	content, err := yaml.Marshal(map[string]any(s))
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(to, settingsFile), content, 0o600); err != nil {
		return err
	}
	for _, name := range []string{"jvm.options", "log4j2.properties", keystoreFile, "unicast_hosts.txt"} {
		if err := copyFile(filepath.Join(from, name), filepath.Join(to, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	options, err := filepath.Glob(filepath.Join(from, "jvm.options.d", "*"))
	if err != nil {
		return err
	}
	if err := os.Mkdir(filepath.Join(to, "jvm.options.d"), 0o700); err != nil {
		return err
	}
	for _, file := range options {
		if err := copyFile(file, filepath.Join(to, "jvm.options.d", filepath.Base(file))); err != nil {
			return err
		}
	}
	return nil
}

func copyFile(from, to string) error {
	content, err := os.ReadFile(from) //nolint:gosec // names of the configuration's own folder
	if err != nil {
		return err
	}
	partial := to + ".partial"
	if err := os.WriteFile(partial, content, 0o600); err != nil {
		return err
	}
	return os.Rename(partial, to)
}
