package packer

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"os"

	"golang.org/x/crypto/ssh"
)

// NewKey makes a key pair for one bake: its private half at path, the public one beside it as .pub. The builder qemu can make
// none itself, and nobody's own key should be in a machine that becomes an image.
func NewKey(path string) error {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	block, err := ssh.MarshalPrivateKey(private, "cincbake")
	if err != nil {
		return err
	}
	authorised, err := ssh.NewPublicKey(public)
	if err != nil {
		return err
	}
	return errors.Join(
		create(path, 0o600, pem.EncodeToMemory(block)),
		create(path+".pub", 0o644, ssh.MarshalAuthorizedKey(authorised)),
	)
}

// create writes a file that is not there yet, so that nobody else can have put one there to read along.
func create(path string, mode os.FileMode, text []byte) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = file.Write(text)
	return errors.Join(err, file.Close())
}
