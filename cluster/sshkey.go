package cluster

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"unicode"
)

// sshKeyTypes are the public keys that OpenSSH 10 takes in authorized_keys, without certificates: DSA is gone.
func sshKeyTypes() []string {
	return []string{
		"ssh-ed25519", "ssh-rsa", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521",
		"sk-ssh-ed25519@openssh.com", "sk-ecdsa-sha2-nistp256@openssh.com",
	}
}

// checkAuthorizedKey refuses what is not a plain line of authorized_keys: type, key, comment. Its errors do not repeat
// the line.
func checkAuthorizedKey(line string) error {
	if strings.ContainsFunc(line, unicode.IsControl) {
		return errors.New("a key is one line")
	}
	fields := strings.Fields(line)
	known := func(word string) bool { return slices.Contains(sshKeyTypes(), word) }
	switch {
	case len(fields) > 0 && !known(fields[0]) && slices.ContainsFunc(fields[1:], known):
		return errors.New("options before the key are not supported")
	case len(fields) > 0 && fields[0] == "ssh-dss":
		return errors.New("OpenSSH no longer takes DSA keys")
	case len(fields) == 0 || !known(fields[0]):
		return errors.New("this does not begin with a type of public key")
	case len(fields) == 1:
		return errors.New("there is no key after its type")
	}
	blob, err := base64.StdEncoding.DecodeString(fields[1])
	if err != nil {
		return errors.New("the key is not base64: is it whole?")
	}
	// RFC 4253 §6.6: a key begins with its type, which is preceded by its length.
	const lengthBytes = 4
	if len(blob) < lengthBytes {
		return errors.New("the key is cut short")
	}
	length, rest := binary.BigEndian.Uint32(blob), blob[lengthBytes:]
	if uint64(length) >= uint64(len(rest)) {
		return errors.New("the key is cut short")
	}
	if string(rest[:length]) != fields[0] {
		return errors.New("the key is of another type than its line says")
	}
	return nil
}
