package cluster

import (
	"fmt"
	"time"
)

// Finding is one thing that a machine's doctor looked at.
type Finding struct {
	Check  string `json:"check"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail"`
	// Hint is what to do about it. With OK, it is for later.
	Hint string `json:"hint,omitempty"`
}

// Mark is the finding in a word: ok, warn, or FAIL.
func (f Finding) Mark() string {
	switch {
	case !f.OK:
		return "FAIL"
	case f.Hint != "":
		return "warn"
	}
	return "ok"
}

// How long a machine's certificate must last at least, and how long before its end it is worth a word.
const (
	leastLifetime = 7 * 24 * time.Hour
	warnLifetime  = 30 * 24 * time.Hour
)

// JudgeCertificate judges what is left of a machine's certificate. One that has ended is past renewing from afar: the machine
// lets nobody in any more, and nobody believes it.
func JudgeCertificate(ends, now time.Time) Finding {
	left := ends.Sub(now)
	f := Finding{
		Check: "certificate", OK: left >= leastLifetime,
		Detail: fmt.Sprintf("ends in %d days, on %s", int(left.Hours()/24), ends.UTC().Format(time.DateOnly)),
	}
	if left < warnLifetime {
		f.Hint = "cincbake secrets rotate leaves --apply"
	}
	return f
}
