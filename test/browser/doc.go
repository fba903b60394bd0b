// Package browser reads the page that "cincbake graph" draws with a real browser.
package browser
