"""Secrets that tools and upstreams need: kept sealed, named by `${secret:name}`, and never given back."""
