package cinc

import (
	"context"
	"strconv"
	"time"

	"github.com/cincbake/cincbake/roles/role"
)

// Ledger is the one row that the API nodes keep in a database of their own, beside Cinc Server's: who configures now, or did
// last, and how far the databases have come.
type Ledger struct {
	Holder  string // node that configures, or did last
	Work    string // what it does: see Work
	Address string // from which the database sees it
	// Quiet is how long ago it last said that it is alive, by the database's clock.
	Quiet time.Duration
	// Ended tells that it gave the lock back in good order.
	Ended bool
	// Began tells that a bootstrap of this cluster was begun, and Made that one came to its end.
	Began, Made bool
	// Version is the newest Cinc Server that has configured itself to its end.
	Version string
}

// Work is what an API node does under the lock.
type Work string

// The kinds of work.
const (
	WorkBootstrap Work = "make the databases"
	WorkJoin      Work = "join the databases"
	WorkUpgrade   Work = "upgrade the databases"
)

// ledgerDatabase holds the ledger and the lock. It is the API nodes' own: a lock belongs to a database, and whoever stays
// connected to one that exists on every server keeps others from copying it.
const ledgerDatabase = role.LedgerDatabase

const ledgerTable = `create table if not exists ledger (
	one boolean primary key default true check (one),
	holder text not null default '', work text not null default '', token text not null default '', address text not null default '',
	beat timestamptz not null default '1970-01-01', ended boolean not null default true,
	began boolean not null default false, made boolean not null default false, version text not null default '')`

// makeLedger makes the ledger's database and table, unless they are there. Others may do the same at the same time.
func (d Database) makeLedger(ctx context.Context) error {
	s, err := d.open(ctx, ledgerDatabase)
	if hasCode(err, codeNoDatabase) {
		server, err := d.open(ctx, templateDatabase)
		if err != nil {
			return err
		}
		_, err = server.rows(ctx, "create database "+ledgerDatabase+" template template0 encoding 'UTF8'")
		server.close()
		if err != nil && !hasCode(err, codeDuplicate, codeUnique) {
			return err
		}
		s, err = d.open(ctx, ledgerDatabase)
		if err != nil {
			return err
		}
		defer s.close()
		return s.makeTable(ctx)
	}
	if err != nil {
		return err
	}
	defer s.close()
	return s.makeTable(ctx)
}

func (s session) makeTable(ctx context.Context) error {
	if _, err := s.rows(ctx, ledgerTable); err != nil && !hasCode(err, codeDuplicateTable, codeDuplicateType, codeUnique) {
		return err
	}
	_, err := s.rows(ctx, "insert into ledger default values on conflict do nothing")
	return err
}

// readLedger returns what is written; the zero ledger where nothing was ever written.
func (d Database) readLedger(ctx context.Context) (Ledger, error) {
	s, err := d.open(ctx, ledgerDatabase)
	if hasCode(err, codeNoDatabase) {
		return Ledger{}, nil
	}
	if err != nil {
		return Ledger{}, err
	}
	defer s.close()
	there, err := s.value(ctx, "select to_regclass('public.ledger') is not null")
	if err != nil || there != "t" {
		return Ledger{}, err
	}
	return s.ledger(ctx)
}

func (s session) ledger(ctx context.Context) (Ledger, error) {
	rows, err := s.rows(ctx, `select holder, work, address, extract(epoch from clock_timestamp() - beat), ended, began, made, version
		from ledger`)
	if err != nil || len(rows) == 0 {
		return Ledger{}, err
	}
	r := rows[0]
	quiet, err := strconv.ParseFloat(r[3], 64)
	return Ledger{
		Holder: r[0], Work: r[1], Address: r[2], Quiet: time.Duration(quiet * float64(time.Second)), Ended: r[4] == "t",
		Began: r[5] == "t", Made: r[6] == "t", Version: r[7],
	}, err
}

// finish writes down that the databases are made to the end, and by which Cinc Server.
func (d Database) finish(ctx context.Context, version string) error {
	_, err := d.ask(ctx, ledgerDatabase, "update ledger set began = true, made = true, version = $1", version)
	return err
}
