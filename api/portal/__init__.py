"""Pages for people: rendered on the server, useful without JavaScript, on what the API stands on too."""
