package ec2

import (
	"context"
	"fmt"
)

// Step is one thing that is to be done on AWS.
type Step struct {
	// Region is where; empty: in the bucket.
	Region string `json:"region,omitempty"`
	// What is the step in words, like "record ami-0123".
	What string `json:"what"`

	do func(context.Context) error
}

// Work is what a command comes to, in order. The catalogue's methods that return Work change nothing themselves: they look at
// what there is, refuse what they must, and leave out what is done already. So work that is printed is a dry run, no work
// means that everything is as it should be, and whatever ended before its last step is completed by asking for the work again.
type Work []Step

// Do does all steps, one after the other, and tells each that is done. It ends at the first that fails.
func (w Work) Do(ctx context.Context, done func(Step)) error {
	for _, s := range w {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		if err := s.do(ctx); err != nil {
			if s.Region == "" {
				return fmt.Errorf("%s: %w", s.What, err)
			}
			return in(s.Region, fmt.Errorf("%s: %w", s.What, err))
		}
		done(s)
	}
	return nil
}

// add puts a step at the end.
func (w *Work) add(region string, do func(context.Context) error, format string, args ...any) {
	*w = append(*w, Step{Region: region, What: fmt.Sprintf(format, args...), do: do})
}
