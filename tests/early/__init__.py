"""Uploads that are answered before they are read: how many answers reach the client, with the sidecar and without."""
