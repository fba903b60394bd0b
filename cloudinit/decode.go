package cloudinit

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"gopkg.in/yaml.v3"
)

// Encode returns the document's file: the same bytes for the same document.
func (d Document) Encode() ([]byte, error) {
	_, file, err := d.encode()
	return file, err
}

// encode returns the document's instance id and file.
func (d Document) encode() (instanceID string, file []byte, err error) {
	text, err := json.Marshal(d)
	if err != nil {
		return "", nil, fmt.Errorf("encode node document: %w", err)
	}
	var indented bytes.Buffer
	if err := json.Indent(&indented, text, "", "  "); err != nil {
		return "", nil, fmt.Errorf("encode node document: %w", err)
	}
	indented.WriteByte('\n')
	sum := sha256.Sum256(text)
	return "i-" + d.Node + "-" + hex.EncodeToString(sum[:6]), indented.Bytes(), nil
}

// DecodeDocument reads what Encode wrote. It refuses another format and any field it does not know, since ignoring one
// would build another machine than the one that was asked for; and a document whose own node is not in its cluster.
func DecodeDocument(data []byte) (Document, error) {
	document, err := decodeDocument(data)
	if err != nil {
		return Document{}, fmt.Errorf("node document: %w", err)
	}
	return document, nil
}

func decodeDocument(data []byte) (Document, error) {
	var head struct {
		Format int `json:"format"`
	}
	if err := json.Unmarshal(data, &head); err != nil {
		return Document{}, err
	}
	if head.Format != DocumentFormat {
		way := "bake a newer image"
		if head.Format < DocumentFormat {
			way = "render the seed again with the cincbake that baked the image"
		}
		return Document{}, fmt.Errorf("this image's agent reads format %d, the document has %d: %s", DocumentFormat, head.Format, way)
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	var document Document
	if err := decoder.Decode(&document); err != nil {
		return Document{}, fmt.Errorf("%w: image and seed come from different releases of cincbake: bake and render with the same one", err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return Document{}, errors.New("something follows the end of the JSON object")
	}
	if (document.Secrets == "") == (document.SecretStore == nil) {
		return Document{}, errors.New("either secrets or secretStore must say where this machine's secrets are: render it again")
	}
	if _, err := document.Cluster.Node(document.Node); err != nil {
		return Document{}, err
	}
	return document, nil
}

// SecretsIn returns the secrets file that a seed's user-data brings to its machine. Its errors show nothing of what they are
// about.
func SecretsIn(userData []byte) ([]byte, error) {
	var config struct {
		WriteFiles []struct {
			Path    string `yaml:"path"`
			Content string `yaml:"content"`
		} `yaml:"write_files"`
	}
	if err := yaml.Unmarshal(userData, &config); err != nil {
		return nil, errors.New("this is no cloud-config")
	}
	for _, file := range config.WriteFiles {
		if file.Path == SecretsPath {
			return []byte(file.Content), nil
		}
	}
	return nil, fmt.Errorf("this cloud-config has no %s", SecretsPath)
}
