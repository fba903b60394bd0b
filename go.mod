module github.com/cincbake/cincbake

go 1.26
