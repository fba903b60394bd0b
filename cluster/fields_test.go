package cluster

import (
	"reflect"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// paths lists the keys of a mapping type, as Fields has them.
func paths(mapping reflect.Type, path string) []string {
	var list []string
	for i := range mapping.NumField() {
		name := mapping.Field(i).Tag.Get("yaml")
		if name == "" {
			continue
		}
		list = append(list, join(path, name))
		if kind := plain(mapping.Field(i).Type); isMapping(kind) && kind != reflect.TypeFor[NodeSpec]() {
			list = append(list, paths(kind, join(path, name))...)
		}
	}
	return list
}

// TestEveryFieldIsMarked: a key without a meaning, an effect and a reason is not finished, and a refusal shows the way around.
func TestEveryFieldIsMarked(t *testing.T) {
	var known []string
	for _, f := range slices.Concat(Fields(), nodeFields("lb.nodes"), nodeFields("heartbeat")) {
		if f.Doc == "" || f.Reason == "" || (f.Effect != Refresh && f.Effect != Replace && f.Effect != Never) {
			t.Errorf("the row is not complete: %+v", f)
		}
		if (f.Effect == Never) != (f.Way != "") {
			t.Errorf("%s: the way around is for what is refused: %+v", f.Path, f.Mark)
		}
	}
	for _, f := range Fields() {
		known = append(known, f.Path)
	}
	if diff := cmp.Diff(paths(reflect.TypeFor[Spec](), ""), known); diff != "" {
		t.Errorf("keys of the spec (-types +Fields):\n%s", diff)
	}
	known = nil
	for _, f := range nodeFields("lb.nodes") {
		known = append(known, f.Path)
	}
	if diff := cmp.Diff(paths(reflect.TypeFor[NodeSpec](), ""), known); diff != "" {
		t.Errorf("keys of a machine (-types +nodeFields):\n%s", diff)
	}
}

func TestEffectOf(t *testing.T) {
	for path, want := range map[string]Effect{
		"name":                                 Never,
		"postgres.version":                     Never,
		"postgres.nodes[1]":                    Replace,
		"postgres.nodes[1].disk":               Replace,
		"opensearch.nodes[2].subnet":           Never,
		"lb.nodes[0].address":                  Replace,
		"heartbeat.address":                    Never,
		"heartbeat.volume.size":                Replace,
		"api.addresses[2]":                     Replace,
		"api.nodes":                            Refresh,
		"cinc.settings.nginx.ssl_protocols":    Replace,
		"cinc.settings.nginx.ssl_protocols[1]": Replace,
		"secrets.recipients[0]":                Refresh,
		"no.such.key":                          Never,
		"postgres.external.maxConnections":     Refresh,
		"cinc.settings.opscode_erchef":         Replace,
		"opensearch.external":                  Replace,
		"backup.restore.time":                  Refresh,
	} {
		if got := EffectOf(path); got.Effect != want || got.Reason == "" {
			t.Errorf("EffectOf(%s) = %+v, want %s", path, got, want)
		}
	}
}
