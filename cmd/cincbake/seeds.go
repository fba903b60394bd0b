package main

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
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

// seedsOf renders the seeds of machines, by name, and holds each against cloud-init's own schemas. It writes nothing: all
// seeds are right, or there are none.
func seedsOf(r *cluster.Resolved, nodes []cluster.Node, bundle *secrets.Bundle) (map[string]cloudinit.Seed, error) {
	rendered := make([]cloudinit.Seed, len(nodes))
	err := forEach(len(nodes), func(i int) (err error) {
		rendered[i], err = seedOf(r, nodes[i], bundle)
		return err
	})
	if err != nil {
		return nil, err
	}
	seeds := make(map[string]cloudinit.Seed, len(nodes))
	for _, seed := range rendered {
		seeds[seed.Node] = seed
	}
	return seeds, nil
}

func seedOf(r *cluster.Resolved, node cluster.Node, bundle *secrets.Bundle) (cloudinit.Seed, error) {
	scoped, err := bundle.Scope(node)
	if err != nil {
		return cloudinit.Seed{}, err
	}
	seed, err := cloudinit.Render(r, node, scoped)
	if err != nil {
		return cloudinit.Seed{}, err
	}
	return seed, ourMistake(node, schema.Check(seed))
}

// userDataOf does for launch templates what seedsOf does for seeds.
func userDataOf(r *cluster.Resolved, nodes []cluster.Node) ([]cloudinit.UserData, error) {
	all := make([]cloudinit.UserData, len(nodes))
	err := forEach(len(nodes), func(i int) (err error) {
		if all[i], err = cloudinit.RenderUserData(r, nodes[i]); err != nil {
			return err
		}
		return ourMistake(nodes[i], schema.CheckUserData(all[i].Text))
	})
	return all, err
}

func ourMistake(node cluster.Node, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("what was rendered for %s breaks cloud-init %s's schema, which is a mistake of cincbake:\n%w", node.Name, schema.Version, err)
}

// forEach does work n times, on every processor at once, and returns all errors, in order. It begins nothing more after
// one.
func forEach(n int, work func(i int) error) error {
	var (
		errs   = make([]error, n)
		next   atomic.Int64
		failed atomic.Bool
		wg     sync.WaitGroup
	)
	for range min(n, runtime.GOMAXPROCS(0)) {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n && !failed.Load(); i = int(next.Add(1)) - 1 {
				if errs[i] = work(i); errs[i] != nil {
					failed.Store(true)
				}
			}
		})
	}
	wg.Wait()
	return errors.Join(slices.DeleteFunc(errs, func(err error) bool { return err == nil })...)
}
