package fakeaws

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"encoding/pem"
	"slices"

	"golang.org/x/crypto/ssh"
)

// KeyPair is the public half of a key. The private half is answered once and not kept.
type KeyPair struct {
	about
	ID          string `xml:"keyPairId"`
	Name        string `xml:"keyName"`
	Type        string `xml:"keyType"`
	Fingerprint string `xml:"keyFingerprint"`
	// Public is its line in an authorized_keys file.
	Public string `xml:"-"`
}

func (k *KeyPair) field(name string) ([]string, bool) {
	switch name {
	case "key-name":
		return []string{k.Name}, true
	case "key-pair-id":
		return []string{k.ID}, true
	}
	return nil, false
}

func (e *ec2) keyNamed(region, name string) *KeyPair {
	for _, k := range e.keys.rows {
		if k.region == region && k.Name == name {
			return k
		}
	}
	return nil
}

func (e *ec2) createKey(c *Call) (any, error) {
	p := c.Params
	k := &KeyPair{about: about{region: c.Region, Tags: p.TagsFor("key-pair")}, Name: p.String("KeyName"), Type: p.String("KeyType")}
	if k.Name == "" {
		return nil, refuse("MissingParameter", "KeyName is needed")
	}
	if e.keyNamed(c.Region, k.Name) != nil {
		return nil, refuse("InvalidKeyPair.Duplicate", "The keypair already exists")
	}
	var private, public any
	var err error
	switch k.Type {
	case "ed25519":
		public, private, err = ed25519.GenerateKey(rand.Reader)
	case "", "rsa":
		k.Type = "rsa"
		var key *rsa.PrivateKey
		if key, err = rsa.GenerateKey(rand.Reader, 2048); err == nil {
			public, private = key.Public(), key
		}
	default:
		return nil, refuse("InvalidParameterValue", "Value (%s) for parameter KeyType is invalid", k.Type)
	}
	if err != nil {
		return nil, err
	}
	line, err := ssh.NewPublicKey(public)
	if err != nil {
		return nil, err
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		return nil, err
	}
	k.ID, k.Public, k.Fingerprint = e.newID("key"), string(ssh.MarshalAuthorizedKey(line)), ssh.FingerprintSHA256(line)
	k.id = k.ID
	e.keys.rows = append(e.keys.rows, k)
	return struct {
		ID          string `xml:"keyPairId"`
		Name        string `xml:"keyName"`
		Fingerprint string `xml:"keyFingerprint"`
		Material    string `xml:"keyMaterial"`
		Tags        Tags   `xml:"tagSet"`
	}{k.ID, k.Name, k.Fingerprint, string(pem.EncodeToMemory(block)), k.Tags}, nil
}

func (e *ec2) describeKeys(c *Call) (any, error) {
	var reply struct {
		Keys []*KeyPair `xml:"keySet>item"`
	}
	list, err := e.keys.pick(c, "KeyPairId", "InvalidKeyPair.NotFound", nil)
	if named := c.Params.Strings("KeyName"); err == nil && len(named) > 0 {
		list = slices.DeleteFunc(list, func(k *KeyPair) bool { return !slices.Contains(named, k.Name) })
		if len(list) < len(named) {
			return nil, refuse("InvalidKeyPair.NotFound", "one of the key pairs %q does not exist", named)
		}
	}
	reply.Keys = list
	return reply, err
}

// deleteKey is content when there is none, as EC2 is.
func (e *ec2) deleteKey(c *Call) (any, error) {
	if k := e.keyNamed(c.Region, c.Params.String("KeyName")); k != nil {
		e.keys.remove(k.ID)
	} else if k, ok := e.keys.find(c.Region, c.Params.String("KeyPairId")); ok {
		e.keys.remove(k.ID)
	}
	return done{true}, nil
}
