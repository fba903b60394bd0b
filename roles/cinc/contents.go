package cinc

import (
	"bytes"
	"context"
	"encoding/pem"
	"fmt"
	"slices"
	"strconv"
)

// Contents is what the database server holds of Cinc Server, as far as joining depends on it.
type Contents struct {
	// Databases are those of Cinc Server's that are there, sorted.
	Databases []string
	// Superuser tells whether pivotal is in there.
	Superuser bool
	// OurKey tells whether the bundle's key is one of pivotal's: the proof that the databases were made to the end, for this
	// bundle. OtherKeys are the names of its others, sorted.
	OurKey    bool
	OtherKeys []string
	// Organizations is how many there are.
	Organizations int
	// Ledger is what the API nodes wrote down of their own work.
	Ledger Ledger
}

// databaseChef is the database with users and organizations.
const databaseChef = "opscode_chef"

// databaseNames are the four that Cinc Server makes.
func databaseNames() []string { return []string{"bifrost", "bookshelf", "oc_id", databaseChef} }

// Look finds out what the database server holds. The public key is the bundle's, PEM.
func (d Database) Look(ctx context.Context, public string) (Contents, error) {
	var c Contents
	server, err := d.open(ctx, templateDatabase)
	if err != nil {
		return c, err
	}
	found, err := server.rows(ctx, "select datname from pg_database order by datname")
	server.close()
	if err != nil {
		return c, err
	}
	for _, row := range found {
		if slices.Contains(databaseNames(), row[0]) {
			c.Databases = append(c.Databases, row[0])
		}
	}
	if c.Ledger, err = d.readLedger(ctx); err != nil {
		return c, err
	}
	if slices.Contains(c.Databases, databaseChef) {
		err = d.lookInside(ctx, public, &c)
	}
	return c, err
}

// lookInside reads users and organizations, as far as there are such tables: a reconfigure that broke off may have made the
// database and nothing in it.
func (d Database) lookInside(ctx context.Context, public string, c *Contents) error {
	chef, err := d.open(ctx, databaseChef)
	if err != nil {
		return err
	}
	defer chef.close()
	tables, err := chef.rows(ctx, "select to_regclass('public.users') is not null and to_regclass('public.keys') is not null, to_regclass('public.orgs') is not null")
	if err != nil {
		return err
	}
	if tables[0][1] == "t" {
		count, err := chef.value(ctx, "select count(*) from orgs")
		if err != nil {
			return err
		}
		if c.Organizations, err = strconv.Atoi(count); err != nil {
			return err
		}
	}
	if tables[0][0] != "t" {
		return nil
	}
	user, err := chef.value(ctx, "select count(*) from users where username = 'pivotal'")
	if err != nil {
		return err
	}
	c.Superuser = user != "0"
	keys, err := chef.rows(ctx, "select key_name, public_key from keys join users using (id) where username = 'pivotal' order by key_name")
	if err != nil {
		return err
	}
	ours, _ := pem.Decode([]byte(public))
	if ours == nil {
		return fmt.Errorf("the bundle's superuser key has no public half")
	}
	for _, row := range keys {
		block, _ := pem.Decode([]byte(row[1]))
		if block != nil && bytes.Equal(block.Bytes, ours.Bytes) {
			c.OurKey = true
		} else {
			c.OtherKeys = append(c.OtherKeys, row[0])
		}
	}
	return nil
}

// clear drops Cinc Server's databases. It is for what a bootstrap left half-made and for nothing else: see the join's table.
func (d Database) clear(ctx context.Context) error {
	server, err := d.open(ctx, templateDatabase)
	if err != nil {
		return err
	}
	defer server.close()
	for _, name := range databaseNames() {
		// Programs of the broken-off attempt may still be connected.
		if _, err := server.rows(ctx, "drop database if exists "+name+" with (force)"); err != nil {
			return fmt.Errorf("drop database %s: %w", name, err)
		}
	}
	return nil
}
