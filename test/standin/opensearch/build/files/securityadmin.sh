#!/bin/sh
echo "opensearch, a test fixture: it has no security plugin, and reads securityconfig/internal_users.yml at every start" >&2
exit 1
