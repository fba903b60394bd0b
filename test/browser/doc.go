// Package browser reads the pages that "cincbake graph" and "cincbake lab drill" draw with a real browser.
package browser
