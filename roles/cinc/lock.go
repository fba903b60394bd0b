package cinc

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strconv"
	"time"
)

// lockKey is the advisory lock's, in the ledger's database.
const lockKey = "4343727"

// How the lock is kept. A holder says that it lives every beatPause. When it could not for beatLimit, it ends what it does,
// with every program of it, which takes killTime at most. Nobody takes the lock over before settle has passed since it last
// spoke, and a lock whose holder stands still is taken from it after that time too: it can't be working, or its programs are
// dead.
const (
	beatPause = time.Second
	beatLimit = 6 * time.Second
	settle    = beatLimit + killTime + settleSpare
	// settleSpare is for what takes no time on a machine that has some: to notice, and to start the program that kills.
	settleSpare = 4 * time.Second
)

// ErrLockLost ends the work of a node that no longer holds the lock.
var ErrLockLost = errors.New("the lock on the databases was lost: another API node may go on with them")

// Busy is a lock that somebody else holds, or did a moment ago.
type Busy struct{ Reason string }

func (b *Busy) Error() string { return b.Reason }

// Lock is the right to configure Cinc Server, which one API node has at a time.
type Lock struct {
	session session
	token   string
	// spoke is when the holder last began to say that it lives, by its own clock. The ledger has a later time: the holder gives
	// up before anybody may count on it.
	spoke   time.Time
	cancel  context.CancelCauseFunc
	held    context.Context //nolint:containedctx // it ends when the lock is lost
	beating chan struct{}   // closed when the beat is over; nil: it never began
}

// Lock takes the lock for node, or returns Busy.
func (d Database) Lock(ctx context.Context, node string) (*Lock, error) {
	if err := d.makeLedger(ctx); err != nil {
		return nil, err
	}
	s, err := d.open(ctx, ledgerDatabase)
	if err != nil {
		return nil, err
	}
	l, err := d.take(ctx, s, node)
	if err != nil {
		s.close()
		return nil, err
	}
	return l, nil
}

func (d Database) take(ctx context.Context, s session, node string) (*Lock, error) {
	got, err := s.value(ctx, "select pg_try_advisory_lock("+lockKey+")")
	if err != nil {
		return nil, err
	}
	was, err := s.ledger(ctx)
	if err != nil {
		return nil, err
	}
	if got != "t" {
		return nil, s.occupied(ctx, was)
	}
	if !was.Ended && was.Holder != node && was.Quiet < settle {
		return nil, &Busy{fmt.Sprintf("%s broke off while it was to %s; whatever it still runs gets %.0f s to end", was.Holder, was.Work, (settle - was.Quiet).Seconds())}
	}
	if !was.Ended && was.Holder != node {
		if err := s.evict(ctx, was); err != nil {
			return nil, err
		}
	}
	held, cancel := context.WithCancelCause(context.Background())
	l := &Lock{session: s, token: rand.Text(), spoke: time.Now(), cancel: cancel, held: held}
	_, err = s.rows(ctx, `update ledger set holder = $1, token = $2, work = $3, address = coalesce(host(inet_client_addr()), ''),
		beat = clock_timestamp(), ended = false`, node, l.token, string(WorkJoin))
	return l, err
}

// holding is the lock's own row among all locks.
const holding = `locktype = 'advisory' and granted and objid = ` + lockKey + ` and database = (select oid from pg_database where datname = current_database())`

// occupied says who has the lock. Somebody whose session has not moved for so long that its work must be over loses it.
func (s session) occupied(ctx context.Context, was Ledger) error {
	idle, err := s.value(ctx, "select extract(epoch from clock_timestamp() - state_change) from pg_stat_activity where pid in (select pid from pg_locks where "+holding+")")
	if err != nil {
		return err
	}
	quiet, err := strconv.ParseFloat(idle, 64)
	switch {
	case idle == "", was.Ended && quiet < settle.Seconds(): // it was given back, or taken, this very moment
		return &Busy{"another API node looks into the databases"}
	case err != nil:
		return err
	case quiet < settle.Seconds():
		return &Busy{fmt.Sprintf("%s is about to %s", was.Holder, was.Work)}
	}
	if err := s.evict(ctx, was); err != nil {
		return err
	}
	return &Busy{fmt.Sprintf("%s stands still since %.0f s while it was to %s: its sessions were ended", was.Holder, quiet, was.Work)}
}

// evict ends the sessions of a holder that stands still, of whatever program: a thawed one must find none of them open. The
// owner may end the sessions of Cinc Server's own roles, which it is a member of.
func (s session) evict(ctx context.Context, was Ledger) error {
	address := was.Address
	if was.Ended { // whoever stands still is not in the ledger yet
		address = ""
	}
	_, err := s.rows(ctx, `select pg_terminate_backend(pid) from pg_stat_activity
		where pid <> pg_backend_pid() and (pid in (select pid from pg_locks where `+holding+`)
			or $1 <> '' and host(client_addr) = $1 and $1 <> coalesce(host(inet_client_addr()), '') and pg_has_role(usesysid, 'member'))`, address)
	return err
}

// Write says in the ledger what is done under the lock, before Keep. A bootstrap is begun before the first of its effects.
func (l *Lock) Write(ctx context.Context, work Work) error {
	return l.speak(ctx, ", work = $2, began = began or $3::boolean", string(work), strconv.FormatBool(work == WorkBootstrap))
}

// speak says in the ledger that the holder lives, and what else there is to say.
func (l *Lock) speak(ctx context.Context, also string, values ...string) error {
	now := time.Now()
	rows, err := l.session.rows(ctx, "update ledger set beat = clock_timestamp()"+also+" where token = $1 returning 1",
		append([]string{l.token}, values...)...)
	if err == nil && len(rows) != 1 {
		err = ErrLockLost
	}
	if err == nil {
		l.spoke = now
	}
	return err
}

// Keep starts to say that the holder lives. From here on the session is the beat's alone.
func (l *Lock) Keep() {
	l.beating = make(chan struct{})
	go l.beat()
}

func (l *Lock) beat() {
	defer close(l.beating)
	ticker := time.NewTicker(beatPause)
	defer ticker.Stop()
	for {
		select {
		case <-l.held.Done():
			return
		case <-ticker.C:
		}
		// Of a machine that stood still meanwhile, this is the first thing that runs again.
		if time.Since(l.spoke) > beatLimit {
			l.cancel(ErrLockLost)
			return
		}
		ctx, cancel := context.WithDeadline(l.held, l.spoke.Add(beatLimit))
		err := l.speak(ctx, "")
		cancel()
		if l.held.Err() != nil {
			return
		}
		if err != nil {
			l.cancel(ErrLockLost)
			return
		}
	}
}

// Attempt names what is done under the lock this time.
func (l *Lock) Attempt() string { return l.token }

// Guard returns a context that ends when the lock is lost, and why.
func (l *Lock) Guard(ctx context.Context) (context.Context, context.CancelFunc) {
	guarded, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(l.held, func() { cancel(context.Cause(l.held)) })
	return guarded, func() { stop(); cancel(nil) }
}

// Release gives the lock back. Done in good order, nobody has to wait for anything that may still run.
func (l *Lock) Release(ctx context.Context, ended bool) {
	l.cancel(nil)
	if l.beating != nil {
		<-l.beating
	}
	if ended {
		_, _ = l.session.rows(ctx, "update ledger set ended = true where token = $1", l.token) // else the next one waits a little
	}
	l.session.close()
}
