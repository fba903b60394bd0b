package main

import "path/filepath"

// layout is where the files are, below a root that is / but in tests.
type layout struct{ root string }

func (l layout) in(path string) string { return filepath.Join("/", l.root, path) }

func (l layout) configuration() string { return l.in("/etc/cinc-project/cinc-server.rb") }
