package secrets

import (
	"crypto/md5" //nolint:gosec // PostgreSQL's own format, see PostgresMD5
	"crypto/rand"
	"encoding/hex"
)

// A password is 32 letters and digits: 190 bits, and nothing that a shell, a URL, an Erlang term or a connection string
// would take for syntax.
const (
	passwordLength   = 32
	passwordAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
)

// newPassword draws a password. A byte at or above the largest multiple of the alphabet's length is thrown away, since
// it would favour the alphabet's first characters.
func newPassword() Secret {
	const limit = 256 - 256%len(passwordAlphabet)
	password := make([]byte, 0, passwordLength)
	var random [2 * passwordLength]byte
	for len(password) < passwordLength {
		_, _ = rand.Read(random[:]) // never fails: it ends the program instead
		for _, b := range random {
			if int(b) < limit && len(password) < passwordLength {
				password = append(password, passwordAlphabet[int(b)%len(passwordAlphabet)])
			}
		}
	}
	return New(string(password))
}

func newPostgres() Postgres {
	return Postgres{
		Superuser:   newPassword(),
		Replication: newPassword(),
		Rewind:      newPassword(),
		Owner:       newPassword(),
		RestAPI:     newPassword(),
	}
}

// PostgresMD5 returns what PostgreSQL stores for a role that logs in with md5: "md5" and the digest of password and
// name. Cinc Server's own database client is not known to speak
// SCRAM, so the owner of its databases needs it. It is a Secret too: whoever holds it can log in with it.
func PostgresMD5(user string, password Secret) Secret {
	sum := md5.Sum([]byte(password.Reveal() + user)) //nolint:gosec // the format is PostgreSQL's
	return New("md5" + hex.EncodeToString(sum[:]))
}
