package secrets

import (
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

// addOpenSearch draws the missing passwords, and makes the missing hashes. A hash is made once and kept: made anew it is
// another one every time, and rendering twice would not give the same bytes.
func (b *Bundle) addOpenSearch() (added bool, err error) {
	if b.OpenSearch == nil {
		b.OpenSearch = &OpenSearch{}
	}
	o := b.OpenSearch
	added = o.fields().fill()
	for _, login := range []struct{ password, hash *Secret }{{&o.Admin, &o.AdminHash}, {&o.Cinc, &o.CincHash}} {
		if !login.hash.IsZero() {
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
