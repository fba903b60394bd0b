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

// hexadecimal returns what draws that many lower-case hexadecimal digits, an even number of them.
func hexadecimal(digits int) func() Secret {
	return func() Secret {
		random := make([]byte, digits/2)
		_, _ = rand.Read(random) // never fails: it ends the program instead
		return New(hex.EncodeToString(random))
	}
}

func (p *Postgres) fields() group {
	return group{
		{name: "superuser", secret: &p.Superuser, draw: newPassword},
		{name: "replication", secret: &p.Replication, draw: newPassword},
		{name: "rewind", secret: &p.Rewind, draw: newPassword},
		{name: "owner", secret: &p.Owner, draw: newPassword},
		{name: "restAPI", secret: &p.RestAPI, draw: newPassword},
	}
}

func (b *Backup) fields() group {
	return group{
		{name: "cipher", secret: &b.Cipher, draw: newPassword},
		{name: "s3KeyID", secret: &b.S3KeyID, optional: true},
		{name: "s3KeySecret", secret: &b.S3KeySecret, optional: true},
		{name: "sftpKey", secret: &b.SFTPKey, optional: true},
	}
}

// PostgresMD5 returns what PostgreSQL stores for a role that logs in with md5: "md5" and the digest of password and
// name. Cinc Server's own database client is not known to speak
// SCRAM, so the owner of its databases needs it. It is a Secret too: whoever holds it can log in with it.
func PostgresMD5(user string, password Secret) Secret {
	sum := md5.Sum([]byte(password.Reveal() + user)) //nolint:gosec // the format is PostgreSQL's
	return New("md5" + hex.EncodeToString(sum[:]))
}
