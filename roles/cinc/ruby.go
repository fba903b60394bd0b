package cinc

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// symbol is a Ruby symbol.
type symbol string

// fileRead is the content of a file, read when the configuration is: a secret stays out of it.
type fileRead string

// setting is one line of cinc-server.rb: a key of a group, or of the top level when the group is empty.
type setting struct {
	group string
	key   string
	value any
}

// line writes the setting as Ruby.
func (s setting) line() (string, error) {
	name := s.key
	if s.group != "" {
		name = s.group + "." + s.key
	}
	if !isWord(s.key) || s.group != "" && !isWord(s.group) {
		return "", fmt.Errorf("setting %s: names are of lower-case letters, digits and underscores", name)
	}
	value, err := literal(s.value)
	if err != nil {
		return "", fmt.Errorf("setting %s: %w", name, err)
	}
	if s.group == "" {
		return s.key + " " + value + "\n", nil
	}
	return fmt.Sprintf("%s['%s'] = %s\n", s.group, s.key, value), nil
}

// isWord tells whether Ruby takes the text as a name.
func isWord(text string) bool {
	for i, c := range text {
		if c != '_' && (c < 'a' || c > 'z') && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return text != ""
}

// literal writes a value as Ruby. Numbers of a decoded JSON document are floats, and count where they are whole.
func literal(value any) (string, error) {
	switch v := value.(type) {
	case string:
		return quote(v)
	case symbol:
		return ":" + string(v), nil
	case fileRead:
		path, err := quote(string(v))
		return "File.read(" + path + ").strip", err
	case bool:
		return strconv.FormatBool(v), nil
	case int:
		return strconv.Itoa(v), nil
	case float64:
		if v != math.Trunc(v) || math.Abs(v) >= 1<<53 {
			return "", fmt.Errorf("%v is no whole number that survives on its way", v)
		}
		return strconv.FormatInt(int64(v), 10), nil
	case []string:
		return list(v)
	case []any:
		return list(v)
	default:
		return "", fmt.Errorf("a value of type %T has no place in cinc-server.rb: use text, a whole number, true, false, or a list of those", value)
	}
}

func list[T any](items []T) (string, error) {
	literals := make([]string, len(items))
	for i, item := range items {
		var err error
		if literals[i], err = literal(item); err != nil {
			return "", err
		}
	}
	return "[" + strings.Join(literals, ", ") + "]", nil
}

// quote writes a single-quoted literal, in which Ruby interprets nothing but \\ and \'. The file is read in whatever
// encoding the caller of cinc-server-ctl happens to have, so that only printable ASCII means the same everywhere.
func quote(text string) (string, error) {
	for _, c := range []byte(text) {
		if c < ' ' || c > '~' {
			return "", fmt.Errorf("%s holds %q: only printable ASCII is safe in cinc-server.rb", strconv.QuoteToASCII(text), c)
		}
	}
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(text) + "'", nil
}
