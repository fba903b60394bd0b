package store

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"filippo.io/age"

	"github.com/cincbake/cincbake/internal/exit"
)

// Identity names the environment variable that holds the path of the file with the identities that open an encrypted
// bundle, as age-keygen writes it.
const Identity = "CINCBAKE_AGE_IDENTITY"

// Encrypted tells whether the secrets at a path are encrypted: their name ends in .age.
func Encrypted(path string) bool { return filepath.Ext(path) == ".age" }

// IdentityPath returns the file of identities: the one that Identity names, or cincbake/identity.txt in the user's
// configuration folder.
func IdentityPath() (string, error) {
	if named := os.Getenv(Identity); named != "" {
		return named, nil
	}
	folder, err := os.UserConfigDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(folder, "cincbake", "identity.txt"), nil
}

// checkRecipients proves that there are recipients where a file is to be encrypted, and none where it is not.
func checkRecipients(path string, recipients []string) error {
	switch {
	case Encrypted(path) && len(recipients) == 0:
		return exit.Errorf(exit.Invalid, "%s is to be encrypted, and there is nobody to encrypt it to: list age recipients under secrets.recipients (age-keygen makes one)", path)
	case !Encrypted(path) && len(recipients) > 0:
		return exit.Errorf(exit.Invalid, "%s has recipients and is not to be encrypted: give it a name that ends in .age, or take secrets.recipients away", path)
	}
	_, err := parseRecipients(recipients)
	return err
}

func parseRecipients(texts []string) ([]age.Recipient, error) {
	recipients := make([]age.Recipient, 0, len(texts))
	for i, text := range texts {
		if strings.HasPrefix(text, "AGE-SECRET-KEY-") {
			return nil, exit.Errorf(exit.Invalid, "secrets.recipients[%d] is an identity, which is secret: write its recipient (age-keygen -y), and make a new identity if others saw this one", i)
		}
		recipient, err := age.ParseX25519Recipient(text)
		if err != nil {
			return nil, exit.Errorf(exit.Invalid, "secrets.recipients[%d], %s, is no recipient that age-keygen makes: expected age1 and 58 letters and digits; keys of ssh and of age's plugins are not supported", i, text)
		}
		recipients = append(recipients, recipient)
	}
	return recipients, nil
}

func encrypt(plain []byte, texts []string) ([]byte, error) {
	recipients, err := parseRecipients(texts)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	writer, err := age.Encrypt(&out, recipients...)
	if err != nil {
		return nil, fmt.Errorf("encrypt secrets to %s: %w", strings.Join(texts, ", "), err)
	}
	if _, err := writer.Write(plain); err != nil {
		return nil, fmt.Errorf("encrypt secrets: %w", err)
	}
	if err := writer.Close(); err != nil {
		return nil, fmt.Errorf("encrypt secrets: %w", err)
	}
	return out.Bytes(), nil
}

// decrypt opens what encrypt made, and any other age file for a recipient.
func decrypt(path string, data []byte) ([]byte, error) {
	identities, from, err := loadIdentities(path)
	if err != nil {
		return nil, err
	}
	reader, err := age.Decrypt(bytes.NewReader(data), identities...)
	var none *age.NoIdentityMatchError
	switch {
	case errors.As(err, &none) && slices.Contains(none.StanzaTypes, "scrypt"):
		return nil, exit.Errorf(exit.Invalid, "%s is encrypted with a passphrase, which cincbake does not ask for: decrypt it with age, and encrypt it to recipients", path)
	case errors.As(err, &none):
		return nil, exit.Errorf(exit.Missing, "%s is encrypted to %d recipients, and %s holds the identity of none of them (it holds that of %s): name another file of identities with %s",
			path, len(none.StanzaTypes), from, strings.Join(recipientsOf(identities), ", "), Identity)
	case err != nil:
		return nil, exit.Errorf(exit.Invalid, "%s is no age file: %w", path, err)
	}
	plain, err := io.ReadAll(reader)
	if err != nil {
		return nil, exit.Errorf(exit.Invalid, "%s is damaged: %w", path, err)
	}
	return plain, nil
}

// loadIdentities reads the file of identities. Its errors hold no line of it.
func loadIdentities(secretsPath string) (identities []age.Identity, from string, err error) {
	if from, err = IdentityPath(); err != nil {
		return nil, "", exit.Errorf(exit.Missing, "%s is encrypted: name the file of your age identity with %s: %w", secretsPath, Identity, err)
	}
	data, err := readPrivate(from, "the age identity")
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, "", exit.Errorf(exit.Missing, "%s is encrypted, and there is no age identity at %s: put one there, or name its file with %s", secretsPath, from, Identity) // not fs.ErrNotExist: the bundle is there
	case err != nil:
		return nil, "", err
	case bytes.HasPrefix(data, []byte("age-encryption.org/")), bytes.HasPrefix(data, []byte("-----BEGIN AGE")):
		return nil, "", exit.Errorf(exit.Invalid, "%s is itself encrypted with a passphrase, which cincbake does not ask for: decrypt it with age", from)
	}
	if identities, err = age.ParseIdentities(bytes.NewReader(data)); err != nil || len(identities) == 0 {
		return nil, "", exit.Errorf(exit.Invalid, "%s holds something else than age identities: expected the file that age-keygen writes; keys of ssh and of age's plugins are not supported", from)
	}
	return identities, from, nil
}

// recipientsOf names identities by their public halves.
func recipientsOf(identities []age.Identity) []string {
	var recipients []string
	for _, identity := range identities {
		if identity, ok := identity.(*age.X25519Identity); ok {
			recipients = append(recipients, identity.Recipient().String())
		}
	}
	return recipients
}
