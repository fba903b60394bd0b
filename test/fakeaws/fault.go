package fakeaws

import "context"

// Fault is something that goes wrong with calls of an action. All but Stall and Lose strike before anything is done; Late makes
// them strike after it.
type Fault struct {
	// Name is how records and tests call it.
	Name string
	// Action is the action that it strikes; Service, as signatures write it, Region and Key, the caller's access key, limit it.
	Action, Service, Region, Key string
	// Skip lets that many calls pass first; Times is how many are struck then, all with 0.
	Skip, Times int

	code   func(service string) *Error
	crash  func()
	hangs  bool
	stalls bool
	late   bool
	struck int
}

// Throttle refuses an action so many times, as AWS does when there are too many calls. Clients try again.
func Throttle(action string, times int) Fault {
	return Fault{Name: "throttle", Action: action, Times: times, code: func(service string) *Error { return dialectOf(service).throttled }}
}

// Deny refuses an action, as for somebody who lacks the permission.
func Deny(action string) Fault {
	return Fault{Name: "deny", Action: action, code: func(service string) *Error { return dialectOf(service).denied }}
}

// Refuse answers an action with an error, without doing anything.
func Refuse(action, code, message string) Fault {
	return Fault{Name: "refuse", Action: action, code: func(string) *Error { return refuse(code, "%s", message) }}
}

// Lose does what the action says, so many times, and answers that something went wrong: what a client sees when the answer
// was lost.
func Lose(action string, times int) Fault {
	return Fault{Name: "lose", Action: action, Times: times, late: true, code: func(service string) *Error { return dialectOf(service).broken }}
}

// Hang never answers an action, so many times, until the client gives up.
func Hang(action string, times int) Fault {
	return Fault{Name: "hang", Action: action, Times: times, hangs: true}
}

// Crash is the client's end at the first call of an action: stop is called once the call was recorded, and ends the client,
// like a context's cancel; there is no answer, to this call or to any later one of this action.
func Crash(action string, stop func()) Fault {
	return Fault{Name: "crash", Action: action, crash: stop}
}

// Stall does what the action says and answers well, but what it began never ends: pending stays pending, and a parameter that
// is to name an image keeps the value that it had.
func Stall(action string) Fault { return Fault{Name: "stall", Action: action, stalls: true} }

// dialect is how a service says that things went wrong.
type dialect struct{ throttled, denied, broken *Error }

// dialectOf is a service's, by its name in signatures.
func dialectOf(service string) dialect {
	say := func(status int, code, message string) *Error {
		return &Error{Status: status, Code: code, Message: message}
	}
	const many, may, internal = "Rate exceeded", "You are not authorized to perform this operation.", "An internal error has occurred"
	switch service {
	case "ec2":
		return dialect{say(503, "RequestLimitExceeded", "Request limit exceeded."), say(403, "UnauthorizedOperation", may), say(500, "InternalError", internal)}
	case "s3":
		return dialect{say(503, "SlowDown", "Please reduce your request rate."), say(403, "AccessDenied", "Access Denied"), say(500, "InternalError", internal)}
	case "ssm", "secretsmanager":
		return dialect{say(400, "ThrottlingException", many), say(400, "AccessDeniedException", may), say(500, "InternalServerError", internal)}
	case "servicequotas":
		return dialect{say(400, "TooManyRequestsException", many), say(400, "AccessDeniedException", may), say(500, "ServiceException", internal)}
	}
	return dialect{say(400, "Throttling", many), say(403, "AccessDenied", may), say(500, "InternalFailure", internal)}
}

// Late makes a fault strike after the action had its effect: the client knows nothing of it.
func (f Fault) Late() Fault {
	f.Name, f.late = "late "+f.Name, true
	return f
}

// Of limits a fault to a service, by its name in signatures, like "autoscaling": two may have an action of one name.
func (f Fault) Of(service string) Fault {
	f.Service = service
	return f
}

// By limits a fault to a caller, by its access key.
func (f Fault) By(key string) Fault {
	f.Key = key
	return f
}

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
		if f.Action != c.Action || f.Region != "" && f.Region != c.Region || f.Service != "" && f.Service != c.Service || f.Key != "" && f.Key != c.Key {
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

// strike is what a fault answers instead; nil: it lets the call's own answer pass.
func (f *Fault) strike(ctx context.Context, closing <-chan struct{}, service string) error {
	switch {
	case f.crash != nil:
		return &Error{Status: noAnswer, Code: "NoAnswer"}
	case f.hangs:
		select {
		case <-ctx.Done(): // the client gave up
		case <-closing:
		}
		return &Error{Status: noAnswer, Code: "NoAnswer"}
	case f.code != nil:
		return f.code(service)
	}
	return nil
}
