package fakeaws

import (
	"encoding/xml"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
)

// Tags are a resource's.
type Tags map[string]string

var _ xml.Marshaler = Tags{}

// MarshalXML writes them as EC2 does, as a list by key.
func (t Tags) MarshalXML(e *xml.Encoder, start xml.StartElement) error {
	type item struct {
		Key   string `xml:"key"`
		Value string `xml:"value"`
	}
	var list struct {
		Items []item `xml:"item"`
	}
	for _, key := range t.keys() {
		list.Items = append(list.Items, item{key, t[key]})
	}
	return e.EncodeElement(list, start)
}

func (t Tags) keys() []string { return slices.Sorted(maps.Keys(t)) }

// about is what all resources have.
type about struct {
	id     string
	region string
	Tags   Tags `xml:"tagSet"`
}

func (a *about) self() *about { return a }

func (a *about) resource(kind, state, of string) Resource {
	return Resource{Kind: kind, Region: a.region, ID: a.id, State: state, Tags: maps.Clone(a.Tags), Of: of}
}

// turn is a change of state that takes its time.
type turn struct {
	next    string
	polls   int  // describes until then
	busy    bool // a machine is on its way
	stalled bool // it never ends
}

// begin sets out for a state.
func (t *turn) begin(state *string, next string, polls int, stalled bool) {
	*t = turn{next: next, polls: polls, stalled: stalled}
	if polls == 0 {
		t.step(state, false)
	}
}

// step is what a describe comes to; atOnce lets all the time pass that it takes.
func (t *turn) step(state *string, atOnce bool) {
	switch {
	case t.next == "" || t.stalled:
	case t.polls > 0 && !atOnce:
		t.polls--
	case !t.busy:
		*state, *t = t.next, turn{}
	}
}

// entry is a row of a table.
type entry interface {
	self() *about
	// field is what a filter of that name looks at; false: there is no such filter.
	field(name string) ([]string, bool)
}

// table holds the resources of one kind, in the order in which they were made.
type table[T entry] struct{ rows []T }

func (t *table[T]) find(region, id string) (found T, ok bool) {
	for _, row := range t.rows {
		if about := row.self(); about.region == region && about.id == id {
			return row, true
		}
	}
	return found, false
}

func (t *table[T]) remove(id string) {
	t.rows = slices.DeleteFunc(t.rows, func(row T) bool { return row.self().id == id })
}

// pick returns those of a region that a describe asks for: those named in the list called ids, or all, that pass the filters.
// missing is the code of the error for a name that there is not.
func (t *table[T]) pick(c *Call, ids, missing string, look func(T)) ([]T, error) {
	named := c.Params.Strings(ids)
	for _, id := range named {
		if _, ok := t.find(c.Region, id); !ok {
			return nil, refuse(missing, "%s does not exist", id)
		}
	}
	wanted := filters(c.Params)
	var found []T
	for _, row := range t.rows {
		about := row.self()
		if about.region != c.Region || len(named) > 0 && !slices.Contains(named, about.id) {
			continue
		}
		if look != nil {
			look(row)
		}
		fits, err := fits(row, wanted)
		if err != nil {
			return nil, err
		}
		if fits {
			found = append(found, row)
		}
	}
	return found, nil
}

// filter is what a describe wants of a field: one of the patterns.
type filter struct {
	name     string
	patterns []string
}

// filters are those of a call.
func filters(p Params) []filter {
	var list []filter
	for _, f := range p.List("Filter") {
		list = append(list, filter{f.String("Name"), f.Strings("Value")})
	}
	return list
}

// fits tells whether a resource passes all filters.
func fits(row entry, wanted []filter) (bool, error) {
	for _, filter := range wanted {
		values, ok := fieldOf(row, filter.name)
		if !ok {
			return false, refuse("InvalidParameterValue", "The filter '%s' is invalid", filter.name)
		}
		if !slices.ContainsFunc(values, func(value string) bool {
			return slices.ContainsFunc(filter.patterns, func(pattern string) bool { return like(pattern, value) })
		}) {
			return false, nil
		}
	}
	return true, nil
}

func fieldOf(row entry, name string) ([]string, bool) {
	tags := row.self().Tags
	if key, ok := strings.CutPrefix(name, "tag:"); ok {
		value, has := tags[key]
		if !has {
			return nil, true
		}
		return []string{value}, true
	}
	if name == "tag-key" {
		return slices.Collect(maps.Keys(tags)), true
	}
	return row.field(name)
}

// like compares with EC2's wildcards, * and ?.
func like(pattern, value string) bool {
	if !strings.ContainsAny(pattern, "*?") {
		return pattern == value
	}
	// path.Match has both, but lets neither stand for a slash, and knows brackets.
	clean := strings.NewReplacer("/", "\x00", "[", "\x01", "\\", "\x02")
	ok, err := path.Match(clean.Replace(pattern), clean.Replace(value))
	return err == nil && ok
}

// page cuts a list to what a call wants at once: everything, if it does not say.
func page[T any](p Params, list []T) ([]T, string, error) { return pageOf(p, list, len(list)) }

// pageOf cuts a list to what a call wants at once, or to so many. The token is the number of the first that is left out.
func pageOf[T any](p Params, list []T, most int) ([]T, string, error) {
	from := 0
	if token := p.String("NextToken"); token != "" {
		var err error
		if from, err = strconv.Atoi(token); err != nil || from < 0 || from > len(list) {
			return nil, "", refuse("InvalidNextToken", "%s is no token of this fake's", token)
		}
	}
	list = list[from:]
	for _, name := range []string{"MaxResults", "MaxRecords"} {
		if wanted := p.Int(name); wanted > 0 {
			most = wanted
		}
	}
	if most < len(list) {
		return list[:most], strconv.Itoa(from + most), nil
	}
	return list, "", nil
}

// yes is a truth as filters write it.
func yes(b bool) []string { return []string{strconv.FormatBool(b)} }
