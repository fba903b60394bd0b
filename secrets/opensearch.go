package secrets

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/bcrypt"
)

// bcryptCost is that of the security plugin's own hash.sh.
const bcryptCost = 12

func (o *OpenSearch) fields() group {
	return group{
		{name: "admin", secret: &o.Admin, draw: newPassword},
		{name: "adminHash", secret: &o.AdminHash},
		{name: "cinc", secret: &o.Cinc, draw: newPassword},
		{name: "cincHash", secret: &o.CincHash},
	}
}

// addOpenSearch draws the missing passwords, and hashes those whose hash is missing or another password's.
func (b *Bundle) addOpenSearch() (added bool, err error) {
	if b.OpenSearch == nil {
		b.OpenSearch = &OpenSearch{}
	}
	o := b.OpenSearch
	added = o.fields().fill()
	for _, login := range []struct{ password, hash *Secret }{{&o.Admin, &o.AdminHash}, {&o.Cinc, &o.CincHash}} {
		if checkBcrypt(*login.password, *login.hash) == nil {
			continue
		}
		if *login.hash, err = newBcrypt(*login.password); err != nil {
			return added, err
		}
		added = true
	}
	return added, nil
}

// newBcrypt hashes as the plugin's hash.sh does. Go writes the version 2a, the plugin 2y: one algorithm, two names.
func newBcrypt(password Secret) (Secret, error) {
	hash, err := bcrypt.GenerateFromPassword([]byte(password.Reveal()), bcryptCost)
	if err != nil {
		return Secret{}, fmt.Errorf("hash a password: %w", err)
	}
	return New("$2y$" + strings.TrimPrefix(string(hash), "$2a$")), nil
}

func checkBcrypt(password, hash Secret) error {
	rest, ok := strings.CutPrefix(hash.Reveal(), "$2y$")
	if !ok {
		return errors.New("not a bcrypt hash of version 2y")
	}
	if bcrypt.CompareHashAndPassword([]byte("$2a$"+rest), []byte(password.Reveal())) != nil {
		return errors.New("the hash is another password's")
	}
	return nil
}
