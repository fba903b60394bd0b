package main

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/jackc/pgx/v5"
)

// addKey gives a user one more key.
func addKey(ctx context.Context, tx pgx.Tx, id, name, public string) error {
	if _, err := tx.Exec(ctx, `INSERT INTO keys VALUES ($1, $2, $3, 0, clock_timestamp(), 'infinity')`, id, name, public); err != nil {
		return err
	}
	return tellGoiardi(ctx, tx)
}

// tellGoiardi lets goiardi accept pivotal's newest key. It has room for one key of each user only.
func tellGoiardi(ctx context.Context, tx pgx.Tx) error {
	var there bool
	if err := tx.QueryRow(ctx, `SELECT to_regclass('goiardi.users') IS NOT NULL`).Scan(&there); err != nil || !there {
		return err
	}
	var public string
	err := tx.QueryRow(ctx, `SELECT public_key FROM keys JOIN users USING (id) WHERE username = 'pivotal' ORDER BY keys.created_at DESC LIMIT 1`).Scan(&public)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return err
	}
	if _, err := tx.Exec(ctx, `DELETE FROM goiardi.users WHERE name = 'pivotal'`); err != nil || public == "" {
		return err
	}
	_, err = tx.Exec(ctx, `INSERT INTO goiardi.users (name, displayname, admin, public_key, passwd, salt, created_at, updated_at) VALUES ('pivotal', 'pivotal', true, $1, '', '', now(), now())`, public)
	return err
}

// userKeys does add-user-key, delete-user-key and list-user-keys.
func userKeys(do func(context.Context, invocation, pgx.Tx, string) error) func(context.Context, invocation) error {
	return func(ctx context.Context, i invocation) error {
		if len(i.arguments) == 0 {
			return errors.New("name the user")
		}
		c, s, err := i.load()
		if err != nil {
			return err
		}
		conn, err := serverOf(c, s).chef(ctx, s)
		if err != nil {
			return err
		}
		defer conn.Close(ctx) //nolint:errcheck // the transaction was answered
		return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
			var id string
			err := tx.QueryRow(ctx, `SELECT id FROM users WHERE username = $1`, i.arguments[0]).Scan(&id)
			if errors.Is(err, pgx.ErrNoRows) {
				return fmt.Errorf("no user %q", i.arguments[0])
			}
			if err != nil {
				return err
			}
			return do(ctx, i, tx, id)
		})
	}
}

// addUserKey is "add-user-key USER [--key-name NAME] [--public-key-path FILE]". Without a public key it makes a pair and
// prints the private half.
func addUserKey(ctx context.Context, i invocation, tx pgx.Tx, id string) error {
	var keyName, file string
	rest := i.arguments[1:]
	for len(rest) > 0 {
		option, value, ok := strings.Cut(rest[0], "=")
		rest = rest[1:]
		if !ok && len(rest) > 0 {
			value, rest = rest[0], rest[1:]
		}
		switch option {
		case "--key-name", "-k":
			keyName = value
		case "--public-key-path", "-p":
			file = value
		default:
			return fmt.Errorf("no option %q", option)
		}
	}
	if file == "" {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			return err
		}
		private := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})
		public, err := publicOf(string(private))
		if err != nil {
			return err
		}
		if keyName == "" {
			return errors.New("--key-name is needed for a key that is made here")
		}
		if err := addKey(ctx, tx, id, keyName, public); err != nil {
			return err
		}
		_, err = fmt.Fprintf(i.out, "%s", private)
		return err
	}
	public, err := os.ReadFile(file) //nolint:gosec // the administrator's choice
	if err != nil {
		return err
	}
	block, _ := pem.Decode(public)
	if block == nil {
		return fmt.Errorf("%s holds no PEM", file)
	}
	if _, err := x509.ParsePKIXPublicKey(block.Bytes); err != nil {
		return fmt.Errorf("%s holds no public key: %w", file, err)
	}
	if keyName == "" {
		return errors.New("--key-name is needed: the stand-in makes no fingerprints")
	}
	return addKey(ctx, tx, id, keyName, string(public))
}

// deleteUserKey is "delete-user-key USER NAME".
func deleteUserKey(ctx context.Context, i invocation, tx pgx.Tx, id string) error {
	if len(i.arguments) != 2 {
		return errors.New("usage: delete-user-key USER NAME")
	}
	deleted, err := tx.Exec(ctx, `DELETE FROM keys WHERE id = $1 AND key_name = $2`, id, i.arguments[1])
	if err != nil {
		return err
	}
	if deleted.RowsAffected() == 0 {
		return fmt.Errorf("user %s has no key %q", i.arguments[0], i.arguments[1])
	}
	return tellGoiardi(ctx, tx)
}

// listUserKeys is "list-user-keys USER [--verbose]".
func listUserKeys(ctx context.Context, i invocation, tx pgx.Tx, id string) error {
	rows, err := tx.Query(ctx, `SELECT key_name, public_key FROM keys WHERE id = $1 ORDER BY key_name`, id)
	if err != nil {
		return err
	}
	var keyName, public string
	_, err = pgx.ForEachRow(rows, []any{&keyName, &public}, func() error {
		if _, err := fmt.Fprintf(i.out, "key_name: %s\nexpired: false\n", keyName); err != nil {
			return err
		}
		if len(i.arguments) > 1 {
			_, err := fmt.Fprintf(i.out, "%s", public)
			return err
		}
		return nil
	})
	return err
}
