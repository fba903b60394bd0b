package secrets

import (
	"strings"
	"testing"
)

func TestPasswords(t *testing.T) {
	const draws = 4000
	seen := map[string]bool{}
	count := map[rune]int{}
	for range draws {
		password := newPassword().Reveal()
		if len(password) != passwordLength {
			t.Fatalf("%d characters, want %d", len(password), passwordLength)
		}
		if seen[password] {
			t.Fatal("drawn twice")
		}
		seen[password] = true
		for _, c := range password {
			if !strings.ContainsRune(passwordAlphabet, c) {
				t.Fatalf("%q is outside the alphabet", c)
			}
			count[c]++
		}
	}
	// Each character is expected 2065 times with a standard deviation of 45; taking a byte modulo 62 would draw the first
	// eight a quarter more often.
	expected := draws * passwordLength / len(passwordAlphabet)
	for _, c := range passwordAlphabet {
		if off := count[c] - expected; off < -300 || off > 300 {
			t.Errorf("%q was drawn %d times, expected about %d", c, count[c], expected)
		}
	}
}

// The row that pg_authid shows for password "postgres" of role "postgres", as countless configuration examples quote it.
func TestPostgresMD5(t *testing.T) {
	if got, want := PostgresMD5("postgres", New("postgres")).Reveal(), "md53175bce1d3201d16594cebf9d7eb3f9d"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
