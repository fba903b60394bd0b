package main

import (
	"fmt"
	"time"

	"github.com/cincbake/cincbake/cloudinit"
	"github.com/cincbake/cincbake/cloudinit/schema"
	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/secrets"
	"github.com/cincbake/cincbake/secrets/store"
)

// loadBundle reads the cluster's secrets and checks that they cover every machine.
func loadBundle(path string, r *cluster.Resolved) (*secrets.Bundle, error) {
	bundle, err := store.Load(path)
	if err != nil {
		return nil, err
	}
	return bundle, bundle.Check(r, time.Now())
}

// seedsOf renders the seed of every machine and holds each against cloud-init's own schemas. It writes nothing: all seeds
// are right, or there are none.
func seedsOf(r *cluster.Resolved, bundle *secrets.Bundle) (map[string]cloudinit.Seed, error) {
	seeds := make(map[string]cloudinit.Seed, len(r.Nodes))
	for _, node := range r.Nodes {
		scoped, err := bundle.Scope(node)
		if err != nil {
			return nil, err
		}
		seed, err := cloudinit.Render(r, node, scoped)
		if err != nil {
			return nil, err
		}
		if err := schema.Check(seed); err != nil {
			return nil, fmt.Errorf("the seed of %s breaks cloud-init %s's schema, which is a mistake of cincbake:\n%w", node.Name, schema.Version, err)
		}
		seeds[node.Name] = seed
	}
	return seeds, nil
}
