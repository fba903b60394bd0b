package moto

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Compare holds the facts of two accounts against each other and against the list, and says what is wrong with that: facts
// that differ and are not listed, and listed ones that are the same, differ in another way, or are not there.
func Compare(fake, other map[string]string, outcomes []Outcome) []string {
	var wrong []string
	listed := map[string]Outcome{}
	for _, one := range outcomes {
		listed[one.Fact] = one
	}
	facts := maps.Clone(fake)
	maps.Copy(facts, other)
	for _, name := range slices.Sorted(maps.Keys(facts)) {
		one, known := listed[name]
		ours, inFake := fake[name]
		theirs, inOther := other[name]
		got := "\n" + indented("fake", ours) + indented("moto", theirs)
		switch {
		case inFake != inOther:
			wrong = append(wrong, fmt.Sprintf("%q is a fact against one of the two alone:%s", name, got))
		case !known && ours != theirs:
			wrong = append(wrong, fmt.Sprintf("%q is not the same, and nothing says why. Find out which of the two is wrong about AWS, and mend it or list it:%s", name, got))
		case known && ours == theirs:
			wrong = append(wrong, fmt.Sprintf("%q is the same by now: take it from the list:%s", name, got))
		case known && (one.Fake != ours || one.Moto != theirs):
			wrong = append(wrong, fmt.Sprintf("%q differs in another way than it is listed:%slisted:\n%s%s", name, got, indented("fake", one.Fake), indented("moto", one.Moto)))
		}
		delete(listed, name)
	}
	for _, name := range slices.Sorted(maps.Keys(listed)) {
		wrong = append(wrong, fmt.Sprintf("no fact is called %q: take it from the list", name))
	}
	return wrong
}

// indented is a text below a heading.
func indented(heading, text string) string {
	return heading + ":\n    " + strings.ReplaceAll(text, "\n", "\n    ") + "\n"
}

// Idle lists the substitutes that never had to act, and the calls that nobody knew.
func (p *Proxy) Idle() []string {
	used := p.Used()
	var wrong []string
	for _, name := range slices.Sorted(maps.Keys(p.substitutes)) {
		if used[name] == 0 {
			wrong = append(wrong, fmt.Sprintf("%s needs no substitute any more, or nobody calls it: take it from the list", name))
		}
	}
	for _, name := range p.Lacks() {
		wrong = append(wrong, fmt.Sprintf("the stand-in does not know %s, and no substitute is listed", name))
	}
	return wrong
}
