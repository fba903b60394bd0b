package awssm

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/internal/exit"
	"github.com/cincbake/cincbake/secrets"
)

// Writer is what pushing calls.
type Writer interface {
	Reader
	DescribeSecret(context.Context, *secretsmanager.DescribeSecretInput, ...func(*secretsmanager.Options)) (*secretsmanager.DescribeSecretOutput, error)
	CreateSecret(context.Context, *secretsmanager.CreateSecretInput, ...func(*secretsmanager.Options)) (*secretsmanager.CreateSecretOutput, error)
	PutSecretValue(context.Context, *secretsmanager.PutSecretValueInput, ...func(*secretsmanager.Options)) (*secretsmanager.PutSecretValueOutput, error)
}

var _ Writer = (*secretsmanager.Client)(nil)

// Change is what became of a secret, or would.
type Change string

// A secret is made, gets a new version, or is as it should be.
const (
	Created   Change = "created"
	Updated   Change = "updated"
	Unchanged Change = "unchanged"
)

// Pushed says what became of the secret of a machine, or of the API pool. It has no place for a value.
type Pushed struct {
	Node   string `json:"node"`
	Secret string `json:"secret"`
	Change Change `json:"change"`
}

// entry is a secret as it shall be.
type entry struct {
	node cluster.Node
	name string
	text []byte
	tags map[string]string
}

// Push brings the secrets of all machines of the cluster up to the bundle, in the order of its nodes. A secret that holds
// the same already is left alone. With dry it changes nothing, and says what it would do. After an error it returns what was
// done before; to go on, push again.
//
// Whatever can be found wrong without a call is found before the first: a bundle without a machine's part, or more than
// Secrets Manager takes, which is exit.Invalid. A secret that is somebody else's is exit.Unsafe, one that is marked for
// deletion exit.Missing.
func Push(ctx context.Context, client Writer, r *cluster.Resolved, bundle *secrets.Bundle, dry bool) ([]Pushed, error) {
	entries, err := entriesOf(r, bundle)
	if err != nil {
		return nil, err
	}
	key := ""
	if r.AWS != nil {
		key = r.AWS.Key
	}
	pushed := make([]Pushed, 0, len(entries))
	for _, e := range entries {
		change, err := push(ctx, client, e, key, dry)
		if err != nil {
			return pushed, fmt.Errorf("secret %s: %w", e.name, err)
		}
		pushed = append(pushed, Pushed{e.node.Name, e.name, change})
	}
	return pushed, nil
}

func entriesOf(r *cluster.Resolved, bundle *secrets.Bundle) ([]entry, error) {
	var entries []entry
	for _, node := range r.Nodes {
		scoped, err := bundle.Scope(node)
		if err != nil {
			return nil, err
		}
		text, err := scoped.Encode()
		if err != nil {
			return nil, err
		}
		e := entry{node, r.SecretName(node), text, map[string]string{cluster.TagCluster: r.Name, cluster.TagRole: string(node.Role)}}
		if len(text) > MaxBytes {
			return nil, exit.Errorf(exit.Invalid, "secret %s: %d bytes, and Secrets Manager takes %d: the largest part is most likely a chain of certificates under tls; leave out what clients have themselves",
				e.name, len(text), MaxBytes)
		}
		if node.Slot > 0 {
			e.tags[cluster.TagNode] = node.Name
		}
		entries = append(entries, e)
	}
	return entries, nil
}

func push(ctx context.Context, client Writer, e entry, key string, dry bool) (Change, error) {
	known, err := client.DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: &e.name})
	if missing(err) {
		if dry {
			return Created, nil
		}
		return Created, create(ctx, client, e, key)
	}
	if err != nil {
		return "", err
	}
	if err := admit(known, e); err != nil {
		return "", err
	}
	if another(aws.ToString(known.KmsKeyId), key) {
		return "", exit.Errorf(exit.Unsafe, "%s encrypts it, and the spec says %s, which is all that its machines may use: aws secretsmanager update-secret --secret-id %s --kms-key-id %[2]s, and push again",
			aws.ToString(known.KmsKeyId), key, e.name)
	}
	have, version, err := current(ctx, client, e.name)
	switch {
	case errors.Is(err, ErrNotFound): // somebody made it, and put nothing in
	case err != nil:
		return "", err
	case secrets.Digest(have) == secrets.Digest(e.text):
		return Unchanged, nil
	}
	if dry {
		return Updated, nil
	}
	_, err = client.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{
		SecretId: &e.name, SecretString: aws.String(string(e.text)), ClientRequestToken: aws.String(token(e.text, version)), VersionStages: []string{stage},
	})
	return Updated, err
}

// another tells whether a secret's key is not the spec's, which is an ARN. Secrets Manager says an ARN or an id; what an alias
// stands for it does not say, and the key of the service itself everybody may use who may read the secret.
func another(have, spec string) bool {
	return have != "" && spec != "" && !strings.Contains(have, "alias/") && have != spec && !strings.HasSuffix(spec, "/"+have)
}

// admit refuses a secret that is another's, or about to go.
func admit(known *secretsmanager.DescribeSecretOutput, e entry) error {
	of := map[string]string{}
	for _, tag := range known.Tags {
		of[aws.ToString(tag.Key)] = aws.ToString(tag.Value)
	}
	if of[cluster.TagCluster] != e.tags[cluster.TagCluster] {
		return exit.Errorf(exit.Unsafe, "it has not the tag %s=%s, so somebody else made it: rename it, or give it the tag if it is the cluster's", cluster.TagCluster, e.tags[cluster.TagCluster])
	}
	if known.DeletedDate != nil {
		return exit.Errorf(exit.Missing, "it is marked for deletion: aws secretsmanager restore-secret --secret-id %s, and push again", e.name)
	}
	return nil
}

func create(ctx context.Context, client Writer, e entry, key string) error {
	in := &secretsmanager.CreateSecretInput{
		Name: &e.name, SecretString: aws.String(string(e.text)), ClientRequestToken: aws.String(token(e.text, "")),
		Description: aws.String("What " + e.node.Name + " of cluster " + e.tags[cluster.TagCluster] + " may know; cincbake secrets push writes it"),
	}
	if key != "" {
		in.KmsKeyId = &key
	}
	for _, name := range slices.Sorted(maps.Keys(e.tags)) {
		in.Tags = append(in.Tags, types.Tag{Key: aws.String(name), Value: aws.String(e.tags[name])})
	}
	_, err := client.CreateSecret(ctx, in)
	return err
}

// token names a version by its text and by the version that it follows, so that the same call again, when its answer was
// lost, makes no other version. The text alone would not do: going back to an earlier text would name that old version, and
// Secrets Manager would leave it old. The text has a private key in it, so nobody can guess it from its digest.
func token(text []byte, after string) string {
	h := sha256.New()
	fmt.Fprintf(h, "%s\n", after)
	h.Write(text)
	const bytes = 16 // the token has 32 to 64 characters
	return hex.EncodeToString(h.Sum(nil)[:bytes])
}
