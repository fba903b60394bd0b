package lab

import "path/filepath"

// UsedImages returns who on this host runs on which image: the lab's name, by the image's content digest.
func UsedImages(folders Folders) (map[string]string, error) {
	records, err := filepath.Glob(filepath.Join(folders.State, "*", "lab.json"))
	if err != nil {
		return nil, err
	}
	used := map[string]string{}
	for _, file := range records {
		l := &Lab{name: filepath.Base(filepath.Dir(file)), folders: folders}
		r, err := l.load()
		if err != nil {
			return nil, err // what an unreadable lab runs on is not known
		}
		for _, digest := range r.Images { // no node may boot it any more, but the next that is added will
			used[digest] = "the lab " + l.name
		}
		for _, node := range r.nodes() {
			used[r.image(node)] = "the lab " + l.name
		}
	}
	return used, nil
}
