package main

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// symbol is a Ruby symbol.
type symbol string

// settings is cinc-server.rb: group, key, value. The group of the top level is empty.
type settings map[string]map[string]any

// The words that cinc-server.rb may begin a line with; another one is an error, as with Cinc Server.
func topLevel() []string {
	return []string{
		"topology", "api_fqdn", "ip_version", "default_orgname", "insecure_addon_compat", "fips", "role",
		"use_chef_backend", "chef_backend_members", "notification_email", "from_email",
	}
}

func groups() []string {
	return []string{
		"bootstrap", "addons", "license", "postgresql", "opensearch", "elasticsearch", "opscode_erchef", "oc_chef_authz",
		"oc_bifrost", "oc_id", "bookshelf", "nginx", "lb", "lb_internal", "redis_lb", "data_collector", "ldap",
		"required_recipe", "profiles", "dark_launch", "log_rotation", "user", "upgrades",
		"rabbitmq", "external_rabbitmq", "opscode_solr", "opscode_solr4", "opscode_expander", "estatsd",
	}
}

var (
	groupLine = regexp.MustCompile(`^([a-z_][a-z0-9_]*)\['([a-z_][a-z0-9_]*)'\] = (.+)$`)
	topLine   = regexp.MustCompile(`^([a-z_][a-z0-9_]*) (.+)$`)
)

// parse reads the part of Ruby that cincbake writes. Anything else is an error: the stand-in has no Ruby.
func parse(text string) (settings, error) {
	all := settings{}
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		group, key, value := "", "", ""
		if m := groupLine.FindStringSubmatch(line); m != nil {
			group, key, value = m[1], m[2], m[3]
			if !slices.Contains(groups(), group) {
				return nil, fmt.Errorf("cinc-server.rb:%d: undefined local variable or method '%s'", i+1, group)
			}
		} else if m := topLine.FindStringSubmatch(line); m != nil {
			key, value = m[1], m[2]
			if !slices.Contains(topLevel(), key) {
				return nil, fmt.Errorf("cinc-server.rb:%d: undefined local variable or method '%s'", i+1, key)
			}
		} else {
			return nil, fmt.Errorf("cinc-server.rb:%d: the stand-in reads KEY VALUE and GROUP['KEY'] = VALUE only", i+1)
		}
		parsed, rest, err := literal(value)
		if err == nil && rest != "" {
			err = fmt.Errorf("%q is left over", rest)
		}
		if err != nil {
			return nil, fmt.Errorf("cinc-server.rb:%d: %s: %w", i+1, key, err)
		}
		if all[group] == nil {
			all[group] = map[string]any{}
		}
		all[group][key] = parsed
	}
	return all, nil
}

var (
	number   = regexp.MustCompile(`^-?[0-9]+`)
	symbols  = regexp.MustCompile(`^:([a-z_][a-z0-9_]*)`)
	constant = regexp.MustCompile(`^(true|false|nil)\b`)
)

// literal reads one value, and returns what comes after it.
func literal(text string) (value any, rest string, err error) {
	const read = "File.read("
	switch {
	case strings.HasPrefix(text, "'"):
		return quoted(text[1:])
	case strings.HasPrefix(text, read):
		path, rest, err := literal(text[len(read):])
		name, ok := path.(string)
		rest, strip := strings.CutPrefix(rest, ").strip")
		if err != nil || !ok || !strip {
			return nil, "", fmt.Errorf("the stand-in reads files by File.read('PATH').strip only: %w", err)
		}
		content, err := os.ReadFile(name) //nolint:gosec // the administrator's choice
		return strings.TrimSpace(string(content)), rest, err
	case strings.HasPrefix(text, "["):
		return list(text[1:])
	}
	if m := constant.FindString(text); m != "" {
		return map[string]any{"true": true, "false": false, "nil": nil}[m], text[len(m):], nil
	}
	if m := symbols.FindStringSubmatch(text); m != nil {
		return symbol(m[1]), text[len(m[0]):], nil
	}
	if m := number.FindString(text); m != "" {
		n, err := strconv.Atoi(m)
		return n, text[len(m):], err
	}
	return nil, "", fmt.Errorf("the stand-in does not read %q", text)
}

// quoted reads the rest of a single-quoted text, in which \\ and \' alone mean something else.
func quoted(text string) (value any, rest string, err error) {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		switch {
		case text[i] == '\'':
			return b.String(), text[i+1:], nil
		case text[i] == '\\' && i+1 < len(text) && (text[i+1] == '\\' || text[i+1] == '\''):
			i++
		}
		b.WriteByte(text[i])
	}
	return nil, "", fmt.Errorf("a text without its end")
}

func list(text string) (value any, rest string, err error) {
	items := []any{}
	for {
		text = strings.TrimLeft(text, " ")
		if after, ok := strings.CutPrefix(text, "]"); ok {
			return items, after, nil
		}
		item, rest, err := literal(text)
		if err != nil {
			return nil, "", err
		}
		items = append(items, item)
		text = strings.TrimLeft(rest, " ")
		if after, ok := strings.CutPrefix(text, ","); ok {
			text = after
		} else if !strings.HasPrefix(text, "]") {
			return nil, "", fmt.Errorf("a list without its end")
		}
	}
}

// has tells whether the file has a key.
func (s settings) has(group, key string) bool { return s[group][key] != nil }

// text returns a text or a symbol, or the default.
func (s settings) text(group, key, unset string) string {
	switch v := s[group][key].(type) {
	case string:
		return v
	case symbol:
		return string(v)
	case int:
		return strconv.Itoa(v)
	}
	return unset
}

// number returns a whole number, or the default.
func (s settings) number(group, key string, unset int) int {
	if n, ok := s[group][key].(int); ok {
		return n
	}
	return unset
}

// truth returns a switch, or the default.
func (s settings) truth(group, key string, unset bool) bool {
	if v, ok := s[group][key].(bool); ok {
		return v
	}
	return unset
}
