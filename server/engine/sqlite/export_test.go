package sqlite

// SetCatalogLimit sets the number of entries of the catalog at which changes wait for the fold.
func (o *Options) SetCatalogLimit(n int) { o.catalogLimit = n }
