"""The commands of `costhub`, a module each, or one for those that belong together."""
