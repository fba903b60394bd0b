#!/usr/bin/env bash
# Prints what each failing test said, from what go test printed: in a suite's thousands of lines it is hard to find.
#   hack/failures.sh < LOG
set -euo pipefail

exec awk '
	# With -v a test is named before what it says, without it after it has failed.
	/^=== (RUN|NAME|CONT|PAUSE) / { name = $0; sub(/^=== [A-Z]+ +/, "", name); next }
	/^ *--- FAIL: / {
		name = $0; sub(/^ *--- FAIL: /, "", name); sub(/ \([0-9.]+s\)$/, "", name)
		failed[++count] = name
		next
	}
	/^ *--- / || /^(ok|FAIL|PASS|make)/ { name = ""; next }
	name != "" { said[name] = said[name] $0 "\n" }
	END { for (i = 1; i <= count; i++) if (said[failed[i]] != "") printf "\n--- %s said\n%s", failed[i], said[failed[i]] }
'
