package fakeaws

import "net/http"

// Fault is something that goes wrong with calls of an action.
type Fault struct {
	// Name is how records and tests call it.
	Name string
	// Action is the action that it strikes; Region limits it to one region.
	Action, Region string
	// Skip lets that many calls pass first; Times is how many are struck then, all with 0.
	Skip, Times int

	before, after *Error
	hangs, stalls bool
	struck        int
}

// Throttle refuses an action so many times, as AWS does when there are too many calls. Clients try again.
func Throttle(action string, times int) Fault {
	return Fault{
		Name: "throttle", Action: action, Times: times,
		before: &Error{Status: http.StatusServiceUnavailable, Code: "RequestLimitExceeded", Message: "Request limit exceeded."},
	}
}

// Deny refuses an action, as for somebody who lacks the permission.
func Deny(action string) Fault {
	return Fault{
		Name: "deny", Action: action,
		before: &Error{Status: http.StatusForbidden, Code: "UnauthorizedOperation", Message: "You are not authorized to perform this operation."},
	}
}

// Refuse answers an action with an error, without doing anything.
func Refuse(action, code, message string) Fault {
	return Fault{Name: "refuse", Action: action, before: refuse(code, "%s", message)}
}

// Lose does what the action says, so many times, and answers that something went wrong: what a client sees when the answer
// was lost.
func Lose(action string, times int) Fault {
	return Fault{
		Name: "lose", Action: action, Times: times,
		after: &Error{Status: http.StatusInternalServerError, Code: "InternalError", Message: "An internal error has occurred"},
	}
}

// Hang never answers an action, so many times, until the client gives up. Nothing is done.
func Hang(action string, times int) Fault {
	return Fault{Name: "hang", Action: action, Times: times, hangs: true}
}

// Stall does what the action says and answers well, but what it began never ends: pending stays pending.
func Stall(action string) Fault { return Fault{Name: "stall", Action: action, stalls: true} }

// In limits a fault to a region.
func (f Fault) In(region string) Fault {
	f.Region = region
	return f
}

// After lets so many calls pass first.
func (f Fault) After(calls int) Fault {
	f.Skip = calls
	return f
}

// Inject makes a fault happen from now on. Of several for one call, the first strikes.
func (s *Server) Inject(f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, &f)
}

// Mend makes all faults stop.
func (s *Server) Mend() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = nil
}

// faultFor returns the fault that strikes a call.
func (s *Server) faultFor(c Call) *Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.faults {
		if f.Action != c.Action || f.Region != "" && f.Region != c.Region {
			continue
		}
		if f.Skip > 0 {
			f.Skip--
			continue
		}
		if f.Times > 0 && f.struck == f.Times {
			continue
		}
		f.struck++
		return f
	}
	return nil
}
